// SPDX-License-Identifier: GPL-3.0-or-later
// tf32 products on tensor cores (sm_80 and later).
#pragma once

#include <cstdint>

namespace qkov::engine::cuda {

/// The 11 leading bits of x, rounded.
__device__ __forceinline__ std::uint32_t toTf32(float x) {
    std::uint32_t r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
}

/// d[16, 8] += a[16, 8] · b[8, 8] in float32. With lane = 4 g + t: a holds (g, t), (g+8, t),
/// (g, t+4), (g+8, t+4); b (t, g), (t+4, g); d (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
__device__ __forceinline__ void multiplyTf32(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

} // namespace qkov::engine::cuda
