// SPDX-License-Identifier: GPL-3.0-or-later
// How Torch's operations use threads. Torch.
#pragma once

namespace qkov::collect {

/// Threads of every operation from now on, of Torch's own loops and of the BLAS behind its
/// products.
///
/// On a CPU, batches run side by side, each on one thread: a transformer's operations are too short
/// to be shared out one by one, and Torch's and OpenBLAS's own pools, which wait by spinning, take
/// the cores from each other (six times the time, measured on two cores).
void setOperationThreads(int threads);

} // namespace qkov::collect
