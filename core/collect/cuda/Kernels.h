// SPDX-License-Identifier: GPL-3.0-or-later
// Kernels of the capture on NVIDIA's Hopper processors. All of them only start work on a stream.
#pragma once

#include <cstdint>

namespace qkov::collect::cuda {

/// Where work is started: CUDA's number of the device and a stream of it (nullptr: its default).
struct Queue {
    int device = 0;
    void* stream = nullptr;
};

/// Whether the kernels run on that device.
bool usable(int device);

/// Powers of two that bring each row's largest number to [2^14, 2^15), and their inverses. Rows
/// with NaN or infinity: such that all of the row becomes NaN.
/// @param values [rows, columns], rows `stride` numbers apart
void rowScales(const float* values, std::int64_t rows, std::int64_t columns, std::int64_t stride,
               float* scale, float* back, const Queue& queue);

/// out[r, n] = back[r] · factor · Σ_k (scale[r] · x[r, k]) · W[k, n] + bias[n], where each number
/// of x takes part as the sum of two float16 numbers.
struct SplitProduct {
    const float* x = nullptr; ///< [rows, depth], at a multiple of 16 bytes
    std::int64_t rows = 0, depth = 0;
    std::int64_t xStride = 0;     ///< between rows, a multiple of 4
    const float* scale = nullptr; ///< [rows]; scaled numbers are less than 2^15
    const float* back = nullptr;  ///< [rows]
    /// float16: W[k, n] at k · wDepthStride + n · wColumnStride. One of the strides is 1, the other
    /// a multiple of 8. W = (high + low) · factor; low may be nullptr.
    const void *high = nullptr, *low = nullptr;
    std::int64_t columns = 0, wDepthStride = 0, wColumnStride = 0;
    float factor = 1;
    const float* bias = nullptr; ///< [columns]; may be nullptr
    float* out = nullptr;        ///< [rows, columns]
    std::int64_t outStride = 0;  ///< between rows, a multiple of 4
    float* workspace = nullptr;  ///< workspaceNumbers() of them
};

/// Whether the strides and addresses are such as splitProduct() takes.
bool fits(const SplitProduct& product);
/// Products of few tiles are cut along the depth, and the parts added: numbers that they need.
std::int64_t workspaceNumbers(const SplitProduct& product, int device);
void splitProduct(const SplitProduct& product, const Queue& queue);

/// Cross entropy of rows of logits, z = cap · tanh(scale · logit / cap) (cap 0: scale · logit),
/// with its gradient in place of the logits: all within ±2, to be multiplied by `scale`.
struct CrossEntropy {
    float* logits = nullptr; ///< [rows, columns]; overwritten if `gradient`
    std::int64_t rows = 0, columns = 0, stride = 0;
    const std::int64_t* target = nullptr; ///< [rows]
    float scale = 1, cap = 0;
    bool gradient = true;
    float* loss = nullptr; ///< [rows], −log p of the target
};
void crossEntropy(const CrossEntropy& work, const Queue& queue);

/// What samples' own rows of a padded batch are read from.
struct SampleRows {
    const float* values = nullptr; ///< [samples, tokens, columns]
    std::int64_t samples = 0, tokens = 0, columns = 0;
    const std::int64_t* lengths = nullptr; ///< [samples], own rows of each
};
/// Each sample's largest magnitude, NaN above infinity; `largest` [samples] begins as zeros.
void largestPerSample(const SampleRows& rows, float* largest, const Queue& queue);

/// Own rows times their sample's factor, each sample's to a place of its own.
struct StoreRows {
    SampleRows rows;
    const float* factors = nullptr;        ///< [samples]; nullptr: 1
    const std::int64_t* targets = nullptr; ///< [samples], addresses on the device
    bool half = true;                      ///< stored as float16, else as float32
    bool aligned = false;                  ///< all addresses are multiples of 16
    std::int64_t* counts = nullptr; ///< [2]: numbers that are not 0, and those left when stored
};
void storeRows(const StoreRows& work, const Queue& queue);

} // namespace qkov::collect::cuda
