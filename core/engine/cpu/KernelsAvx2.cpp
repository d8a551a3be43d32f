// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -mavx2 -mfma -mf16c.
#define QKOV_LANES 8
#define QKOV_ROWS 3
#define QKOV_COLUMNS 4
#define QKOV_KERNELS avx2Kernels
#define QKOV_KERNELS_NAME "AVX2"
#include "engine/cpu/KernelsImpl.h"
