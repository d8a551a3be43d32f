// SPDX-License-Identifier: GPL-3.0-or-later
// Passes over gradients on the device that are bound by memory, and the rebuilding of factored
// gradients. All are asynchronous on their stream; every pointer is the device's.
#pragma once

#include "base/DType.h"
#include "engine/cuda/DeviceTypes.h"

#include <cstdint>
#include <cuda_runtime_api.h>

namespace qkov::engine::cuda {

/// A rectangle of the matrices of some samples: element (sample, row, column) is
/// data[sample · sampleStride + row · rowStride + column].
struct Rectangle {
    const void* data = nullptr;
    std::int64_t rowStride = 0, sampleStride = 0; ///< elements
    std::int64_t rows = 0, columns = 0;
};

struct Statistics {
    double largest, sum, squares, roots;
};

struct StatisticsItem {
    Rectangle part;
    std::int64_t out; ///< offset of the samples' Statistics
};
/// One Statistics per item and sample; without `sums` only `largest` is set, the rest is 0.
void launchStatistics(const StatisticsItem* items, int itemCount, DType type, int samples,
                      bool sums, Statistics* out, cudaStream_t stream);

struct FisherItem {
    Rectangle part;
    std::int64_t scales; ///< offset of [samples] scales; weights lie at the same offset
    std::int64_t out;    ///< offset of [rows · columns] sums
};
/// out[k] = Σ_u weights[u] · element(scales[u] · v_{u,k}), in float64
void launchFisher(const FisherItem* items, int itemCount, std::int64_t longest, DType type,
                  int samples, Element element, const double* scales, const double* weights,
                  double* out, cudaStream_t stream);

struct NormItem {
    Rectangle part;
    std::int64_t samples; ///< offset of the samples' numbers
    std::int64_t scales;  ///< offset of their scales
    std::int64_t weights; ///< offset of the slice's weights (see weightCount)
    std::int64_t out;     ///< offset of [samples] sums
};
/// out[i] = Σ_k w_k · element(scale_i · v_ik)²
void launchNorms(const NormItem* items, int itemCount, DType type, int samples, Element element,
                 const std::int32_t* numbers, const double* scales, const float* weights,
                 double* out, cudaStream_t stream);

/// Copies of a rectangle of consecutive samples, [samples, rows, columns], as float32 or float64.
void launchCopy(const Rectangle& source, DType type, int samples, DType targetType, void* target,
                cudaStream_t stream);

/// Factored gradients: of sample u the sum over tokens t in [ranges[2u], ranges[2u + 1]) of
/// rowFactor[t] ⊗ columnFactor[t], a matrix.
struct Factors {
    const void* rowFactor = nullptr;    ///< [tokens of all samples, rowWidth]
    const void* columnFactor = nullptr; ///< [tokens of all samples, columnWidth]
    const std::int64_t* ranges = nullptr;
    DType rowType = DType::f32, columnType = DType::f32;
    std::int64_t rowWidth = 0, columnWidth = 0; ///< numbers from one token to the next
};
/// target[sample][row][column] of the rectangle that starts at (row, column), on tensor cores:
/// 16-bit factors are exact there, others are split into two tf32 terms.
void launchRebuild(const Factors& factors, std::int64_t firstSample, std::int64_t samples,
                   std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns,
                   float* target, cudaStream_t stream);

} // namespace qkov::engine::cuda
