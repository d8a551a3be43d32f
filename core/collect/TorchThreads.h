// SPDX-License-Identifier: GPL-3.0-or-later
// How Torch's operations use threads. Torch.
#pragma once

namespace qkov::collect {

/// Threads of every operation from now on: of matrix products, and of Torch's own loops where both
/// have one pool.
///
/// On a CPU, batches run side by side, each on one thread, as long as memory allows: a
/// transformer's operations are too short to be shared out one by one, and pools wait by spinning.
/// Torch's beside OpenBLAS's took six times the time, measured on two cores.
void setOperationThreads(int threads);

} // namespace qkov::collect
