// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/TorchThreads.h"

#include <ATen/Parallel.h>

// Of OpenBLAS, where that is the BLAS behind Torch: its pool doesn't follow Torch's setting.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace qkov::collect {

void setOperationThreads(int threads) {
    if (openblas_set_num_threads) {
        openblas_set_num_threads(threads);
        threads = 1; // of Torch's own loops: the two pools would take the cores from each other
    }
    at::set_num_threads(threads);
}

} // namespace qkov::collect
