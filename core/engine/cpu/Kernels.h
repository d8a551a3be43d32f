// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of the CPU backend, compiled once per instruction set and chosen at run time.
#pragma once

#include <cstdint>

namespace qkov::engine::cpu {

/// Packed samples are padded with zeros to a multiple of this many numbers.
inline constexpr std::int64_t packAlign = 16;

/// Samples that one call of `pack` or `accumulate` takes at most.
inline constexpr std::int64_t mostTogether = 8;

/// Bytes.
inline constexpr std::int64_t cacheLine = 64;

/// Of the state of Kernels::largest.
inline constexpr std::int64_t extremeBytes = 64;

/// Numbers in `count` stretches of `length`, each `stride` bytes after the one before.
struct Runs {
    std::int64_t count = 1, length = 0, stride = 0;
};

/// Memory that is wanted soon: `count` stretches of `lines` cache lines, `stride` bytes apart.
struct Fetch {
    const char* at = nullptr;
    std::int64_t lines = 0, count = 1, stride = 0;
};
/// Memory that is wanted after the products, fetched bit by bit while they are computed, when the
/// memory is idle.
struct Ahead {
    const Fetch* fetches = nullptr;
    std::int64_t count = 0;
    std::int64_t lines = 0;                    ///< of all of them
    std::int64_t perTile = 0;                  ///< lines per rows × columns products
    std::int64_t fetch = 0, run = 0, line = 0; ///< how far it is
};

/// Of the Fisher of a slice.
struct Extent {
    double sum = 0;
    double least = 0, most = 0;
    double leastNonzero = 0; ///< infinity: all are zero
};

/// Of numbers that were sorted out by size.
struct Between {
    std::int64_t kept = 0;
    std::int64_t below = 0; ///< less than `low`
    std::int64_t under = 0; ///< less than `limit`
    bool complete = false;  ///< there was room for all
};

/// Plain numbers instead of enumerations: the files that define the loops are compiled for other
/// instruction sets than the rest, and must not emit code of shared headers.
/// type: 0 f16, 1 bf16, 2 f32, 3 f64 (as DType). transform: as engine::Transform.
struct Kernels {
    const char* name;
    /// Samples are packed in panels of `rows` (left) or `columns` (right) samples, the last one
    /// with what is left: `lanes` numbers of each of its samples in turn, so that a product reads
    /// both panels from front to back. Panel p begins at p · rows · depth.
    int lanes, rows, columns;
    /// Fills a panel (or `lanes` numbers of each sample in turn of as many samples as there are,
    /// at most mostTogether) with T(scales[s] · v_s[i]) · weights[i] (weights null: 1), run after
    /// run. Each run ends a vector: zeros past its end. What lies `ahead` bytes further is fetched
    /// for a later call.
    void (*pack)(const void* const* sources, std::int64_t samples, int type, const Runs& runs,
                 const double* scales, int transform, const float* weights, float* target,
                 std::int64_t ahead);
    /// A panel packed without weights times weights[i], 0 ≤ i < n; zeros past n to the end of a
    /// vector.
    void (*weighted)(const float* panel, std::int64_t samples, const float* weights, std::int64_t n,
                     float* target);
    /// The largest |v| of each sample, `stride` bytes after the one before, NaN and infinity
    /// included, merged into `states`: extremeBytes for each sample, zero at first. `ahead` as
    /// above.
    void (*largest)(const void* source, std::int64_t stride, std::int64_t samples, int type,
                    const Runs& runs, void* states, std::int64_t ahead);
    /// What a state has seen: max |v|; NaN or infinity if there was one.
    double (*largestOf)(const void* state, int type);
    /// sum += Σ|v|, squares += Σ v², roots += Σ √|v|, in float64.
    void (*sums)(const void* source, int type, std::int64_t n, double* sum, double* squares,
                 double* roots);
    /// target[i] += Σ_s weights[s] · T(scales[s] · v_s[i]) over the numbers of the runs in turn,
    /// sample s being `stride` bytes after the one before; at most mostTogether samples: few
    /// enough for the memory to be read in long stretches.
    void (*accumulate)(const void* source, std::int64_t stride, std::int64_t samples, int type,
                       const Runs& runs, const double* scales, int transform, const float* weights,
                       float* target);
    /// Sum and extremes of n ≥ 1 numbers ≥ 0; a NaN or infinity shows in the sum.
    Extent (*extent)(const double* values, std::int64_t n);
    /// Copies the numbers in [low, high] to `kept`, in their order, as long as there is room for
    /// packAlign more.
    Between (*between)(const double* values, std::int64_t n, double low, double high, double limit,
                       double* kept, std::int64_t capacity);
    /// weights[i] = scale · D^(−quarters / 4) with D = max(fisher[i], epsilon) + lambda > 0, for
    /// quarters 2, 3, 4 and 6; 0 where the Fisher is zero if `skipZero`.
    void (*weigh)(const double* fisher, std::int64_t n, double epsilon, double lambda, int quarters,
                  double scale, bool skipZero, float* weights);
    /// to[i] += factor · from[i]
    void (*addScaled)(const float* from, double factor, std::int64_t n, double* to);
    /// c[i·ldc + j] += Σ_k a_i[k] · b_j[k] over two sides packed in panels; depth a multiple of
    /// packAlign. `ahead` may be null.
    void (*products)(const float* a, std::int64_t nA, const float* b, std::int64_t nB,
                     std::int64_t depth, double* c, std::int64_t ldc, Ahead* ahead);
    /// Σ_k x_k² w_k (weights null: 1) of a packed sample, whose vectors are `stride` numbers apart.
    double (*weightedSquares)(const float* x, std::int64_t stride, const float* weights,
                              std::int64_t n);
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
