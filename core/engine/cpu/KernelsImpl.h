// SPDX-License-Identifier: GPL-3.0-or-later
// The loops behind Kernels, written over QKOV_LANES-wide vectors. Included once per instruction
// set. Everything is in an unnamed namespace and nothing of the standard library is used: a copy of
// an inline function compiled for AVX-512 must not end up serving the rest of the program.
#include "engine/cpu/Kernels.h"
#include "engine/cpu/KernelsPasses.h"
#include "engine/cpu/KernelsProducts.h"

namespace qkov::engine::cpu {
namespace {

constexpr Kernels set{
    QKOV_KERNELS_NAME,
    lanes,
    tileRows,
    tileColumns,
    pack,
    weighted,
    largest,
    largestOf,
    sums,
    accumulate,
    extent,
    between,
    weigh,
    addScaled,
    products,
    weightedSquares,
    outer,
};

} // namespace

const Kernels& QKOV_KERNELS() {
    return set;
}

} // namespace qkov::engine::cpu
