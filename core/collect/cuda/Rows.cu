// SPDX-License-Identifier: GPL-3.0-or-later
// What is done to whole rows of numbers between the products.
#include "collect/cuda/Kernels.h"
#include "engine/cuda/CudaError.h"

#include <cfloat>
#include <cuda_runtime.h>

namespace qkov::collect::cuda {
namespace {

using engine::cuda::check;

constexpr int warpThreads = 32;
constexpr int scaleThreads = 256;
constexpr int entropyThreads = 512;

cudaStream_t start(const Queue& queue) {
    check(cudaSetDevice(queue.device), "choice of the device");
    return static_cast<cudaStream_t>(queue.stream);
}

/// Numbers order like the integers of their magnitudes' bits, NaN above infinity.
__device__ __forceinline__ unsigned magnitude(float v) {
    return __float_as_uint(v) & 0x7FFFFFFFu;
}

__global__ void __launch_bounds__(scaleThreads)
    rowScalesKernel(const float* values, int rows, int columns, std::int64_t stride, float* scale,
                    float* back) {
    const int row =
        static_cast<int>(blockIdx.x * (scaleThreads / warpThreads) + threadIdx.x / warpThreads);
    const int lane = static_cast<int>(threadIdx.x) % warpThreads;
    if (row >= rows) {
        return;
    }
    const float* from = values + row * stride;
    unsigned largest = 0;
    const int fours = columns / 4;
    for (int i = lane; i < fours; i += warpThreads) {
        const float4 v = reinterpret_cast<const float4*>(from)[i];
        largest = max(max(largest, max(magnitude(v.x), magnitude(v.y))),
                      max(magnitude(v.z), magnitude(v.w)));
    }
    for (int i = fours * 4 + lane; i < columns; i += warpThreads) {
        largest = max(largest, magnitude(from[i]));
    }
    largest = __reduce_max_sync(0xFFFFFFFFu, largest);
    if (lane == 0) {
        // Only the exponent's bits: a power of two. Infinite for NaN and infinity.
        const float power = fmaxf(__uint_as_float(largest & 0x7F800000u), 0x1p-100f);
        back[row] = power * 0x1p-14f;
        scale[row] = 0x1p14f / power;
    }
}

/// A row's maximum, and the sum of exponentials below it.
struct Sum {
    float most = -FLT_MAX, sum = 0;
    __device__ __forceinline__ void add(const Sum& other) {
        const float m = fmaxf(most, other.most);
        sum = sum * expf(most - m) + other.sum * expf(other.most - m);
        most = m;
    }
};

template <bool capped>
__device__ __forceinline__ float logit(float raw, float scale, float cap, float& slope) {
    if constexpr (capped) {
        const float t = tanhf(raw * scale / cap);
        slope = 1 - t * t;
        return t * cap;
    }
    slope = 1;
    return raw * scale;
}

template <bool capped>
__global__ void __launch_bounds__(entropyThreads) crossEntropyKernel(CrossEntropy work) {
    __shared__ Sum sums[entropyThreads / warpThreads];
    __shared__ float targetLogit;
    float* row = work.logits + blockIdx.x * work.stride;
    const int columns = static_cast<int>(work.columns);
    const int target = static_cast<int>(work.target[blockIdx.x]);
    const int thread = static_cast<int>(threadIdx.x);
    const int fours = columns / 4;
    float slope = 1;
    Sum own;
    const auto take = [&](float a, float b, float c, float d) {
        const float m = fmaxf(fmaxf(a, b), fmaxf(c, d));
        if (m > own.most) {
            own.sum *= expf(own.most - m);
            own.most = m;
        }
        own.sum +=
            (expf(a - own.most) + expf(b - own.most)) + (expf(c - own.most) + expf(d - own.most));
    };
    for (int i = thread; i < fours; i += entropyThreads) {
        const float4 v = reinterpret_cast<const float4*>(row)[i];
        take(logit<capped>(v.x, work.scale, work.cap, slope),
             logit<capped>(v.y, work.scale, work.cap, slope),
             logit<capped>(v.z, work.scale, work.cap, slope),
             logit<capped>(v.w, work.scale, work.cap, slope));
    }
    for (int i = fours * 4 + thread; i < columns; i += entropyThreads) {
        take(logit<capped>(row[i], work.scale, work.cap, slope), -INFINITY, -INFINITY, -INFINITY);
    }
    if (thread == 0) {
        targetLogit = logit<capped>(row[target], work.scale, work.cap, slope);
    }
    for (int offset = warpThreads / 2; offset > 0; offset /= 2) {
        Sum other;
        other.most = __shfl_xor_sync(0xFFFFFFFFu, own.most, offset);
        other.sum = __shfl_xor_sync(0xFFFFFFFFu, own.sum, offset);
        own.add(other);
    }
    if (thread % warpThreads == 0) {
        sums[thread / warpThreads] = own;
    }
    __syncthreads();
    Sum all = sums[0];
    for (int w = 1; w < entropyThreads / warpThreads; ++w) {
        all.add(sums[w]);
    }
    if (thread == 0) {
        work.loss[blockIdx.x] = logf(all.sum) - (targetLogit - all.most);
    }
    if (!work.gradient) {
        return;
    }
    const float inverse = 1 / all.sum;
    const auto gradient = [&](float raw, int column) {
        float s = 1;
        const float z = logit<capped>(raw, work.scale, work.cap, s);
        return (expf(z - all.most) * inverse - (column == target ? 1.0f : 0.0f)) * s;
    };
    for (int i = thread; i < fours; i += entropyThreads) {
        float4 v = reinterpret_cast<const float4*>(row)[i];
        v.x = gradient(v.x, 4 * i);
        v.y = gradient(v.y, 4 * i + 1);
        v.z = gradient(v.z, 4 * i + 2);
        v.w = gradient(v.w, 4 * i + 3);
        reinterpret_cast<float4*>(row)[i] = v;
    }
    for (int i = fours * 4 + thread; i < columns; i += entropyThreads) {
        row[i] = gradient(row[i], i);
    }
}

} // namespace

void rowScales(const float* values, std::int64_t rows, std::int64_t columns, std::int64_t stride,
               float* scale, float* back, const Queue& queue) {
    constexpr int perBlock = scaleThreads / warpThreads;
    rowScalesKernel<<<static_cast<unsigned>((rows + perBlock - 1) / perBlock), scaleThreads, 0,
                      start(queue)>>>(values, static_cast<int>(rows), static_cast<int>(columns),
                                      stride, scale, back);
    check(cudaGetLastError(), "scales of rows");
}

void crossEntropy(const CrossEntropy& work, const Queue& queue) {
    const cudaStream_t stream = start(queue);
    const auto rows = static_cast<unsigned>(work.rows);
    if (work.cap > 0) {
        crossEntropyKernel<true><<<rows, entropyThreads, 0, stream>>>(work);
    } else {
        crossEntropyKernel<false><<<rows, entropyThreads, 0, stream>>>(work);
    }
    check(cudaGetLastError(), "cross entropy");
}

} // namespace qkov::collect::cuda
