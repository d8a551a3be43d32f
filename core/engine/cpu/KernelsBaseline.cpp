// SPDX-License-Identifier: GPL-3.0-or-later
// For any CPU: four lanes of whatever the compiler has (SSE2, NEON or plain code).
#define QKOV_LANES 4
#define QKOV_ROWS 2
#define QKOV_COLUMNS 4
#define QKOV_KERNELS baselineKernels
#define QKOV_KERNELS_NAME "baseline"
#include "engine/cpu/KernelsImpl.h"
