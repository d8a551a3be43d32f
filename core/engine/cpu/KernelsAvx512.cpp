// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c.
#define QKOV_LANES 16
#define QKOV_ROWS 5
#define QKOV_COLUMNS 5
#define QKOV_KERNELS avx512Kernels
#define QKOV_KERNELS_NAME "AVX-512"
#include "engine/cpu/KernelsImpl.h"
