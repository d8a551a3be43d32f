// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of the CPU backend, compiled once per instruction set and chosen at run time.
#pragma once

#include <cstdint>

namespace qkov::engine::cpu {

/// Packed rows are padded with zeros to a multiple of this many numbers.
inline constexpr std::int64_t packAlign = 16;

/// Memory that is wanted after the products: `count` runs of `lines` cache lines, fetched bit by
/// bit while they are computed, when the memory is idle.
struct Ahead {
    const char* const* runs = nullptr;
    std::int64_t count = 0, lines = 0;
};

/// Plain numbers instead of enumerations: the files that define the loops are compiled for other
/// instruction sets than the rest, and must not emit code of shared headers.
/// type: 0 f16, 1 bf16, 2 f32, 3 f64 (as DType). transform: as engine::Transform.
struct Kernels {
    const char* name;
    /// target[i] = T(scale · source[i]) · weights[i] (weights null: 1). What lies `ahead` bytes
    /// further is fetched for a later call.
    void (*pack)(const void* source, int type, std::int64_t n, double scale, int transform,
                 const float* weights, float* target, std::int64_t ahead);
    /// max |source[i]|; NaN or infinity if there is one.
    double (*largest)(const void* source, int type, std::int64_t n);
    /// sum += Σ|v|, squares += Σ v², roots += Σ √|v|, in float64.
    void (*sums)(const void* source, int type, std::int64_t n, double* sum, double* squares,
                 double* roots);
    /// target[i] += weight · T(scale · source[i]); `ahead` as above.
    void (*accumulate)(const void* source, int type, std::int64_t n, double scale, int transform,
                       float weight, float* target, std::int64_t ahead);
    /// c[i·ldc + j] += Σ_k a[i·depth + k] · b[j·depth + k]; depth a multiple of packAlign.
    void (*products)(const float* a, std::int64_t nA, const float* b, std::int64_t nB,
                     std::int64_t depth, double* c, std::int64_t ldc, const Ahead& ahead);
    /// Σ_k x_k² w_k (weights null: 1).
    double (*weightedSquares)(const float* x, const float* weights, std::int64_t n);
    /// c[i·ldc + j] += Σ_t a[t·lda + i] · b[t·ldb + j], float32: rebuilds factored gradients.
    void (*outer)(const float* a, std::int64_t lda, std::int64_t nA, const float* b,
                  std::int64_t ldb, std::int64_t nB, std::int64_t depth, float* c,
                  std::int64_t ldc);
};

/// The best set that this CPU runs.
const Kernels& kernels();
/// All sets that this CPU runs, best first; for tests.
int kernelSets(const Kernels** out, int most);

const Kernels& baselineKernels();
#if defined(__x86_64__)
const Kernels& avx2Kernels();
const Kernels& avx512Kernels();
#endif

} // namespace qkov::engine::cpu
