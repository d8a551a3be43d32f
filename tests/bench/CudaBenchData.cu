// SPDX-License-Identifier: GPL-3.0-or-later
#include "CudaBenchData.h"

#include "engine/cuda/DeviceElements.cuh"

#include <math_constants.h>

namespace qkov::bench {
namespace {

using engine::cuda::check;
using engine::cuda::tileWidth;
using engine::cuda::toFloat;

__device__ std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

__device__ float gaussian(std::uint64_t key) {
    const std::uint64_t bits = mix(key);
    const float u = (static_cast<float>(bits & 0xFFFFFF) + 1.0f) / 16777217.0f;
    const float v = static_cast<float>((bits >> 24) & 0xFFFFFF) / 16777216.0f;
    return sqrtf(-2.0f * logf(u)) * cosf(2.0f * CUDART_PI_F * v);
}

template <class T>
__device__ T fromFloat(float v);
template <>
__device__ __half fromFloat<__half>(float v) {
    return __float2half(v);
}
template <>
__device__ __nv_bfloat16 fromFloat<__nv_bfloat16>(float v) {
    return __float2bfloat16(v);
}
template <>
__device__ float fromFloat<float>(float v) {
    return v;
}
template <>
__device__ double fromFloat<double>(float v) {
    return v;
}

template <class T>
__global__ void fillKernel(T* data, std::int64_t samples, std::int64_t parameters,
                           std::uint64_t parameterSeed, std::uint64_t seed) {
    for (std::int64_t at = blockIdx.x * std::int64_t(blockDim.x) + threadIdx.x;
         at < samples * parameters; at += std::int64_t(gridDim.x) * blockDim.x) {
        const std::int64_t sample = at / parameters;
        const std::int64_t k = at % parameters;
        const float size = expf(1.2f * gaussian(parameterSeed * 0x100000001ull + k));
        const float loud = expf(0.5f * gaussian(seed * 0x300000007ull + sample));
        data[at] = fromFloat<T>(0.01f * size * loud * gaussian(seed * 0x10000000000ull + at));
    }
}

template <class T>
__global__ void fisherKernel(View a, View b, int nA, int nB, int rows, int columns, int padded,
                             float* fisher, double* total) {
    double mine = 0;
    for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < rows * columns;
         k += gridDim.x * blockDim.x) {
        const int row = k / columns;
        const int column = k % columns;
        double sum = 0;
        for (int i = 0; i < nA + nB; ++i) {
            const View& v = i < nA ? a : b;
            const std::int64_t sample = i < nA ? i : i - nA;
            const double g = toFloat(static_cast<const T*>(
                v.data)[sample * v.sampleStride + row * v.rowStride + column]);
            sum += g * g;
        }
        sum /= nA + nB;
        mine += sum;
        fisher[std::int64_t(row) * padded + column] = static_cast<float>(sum);
    }
    atomicAdd(total, mine);
}

__global__ void weightKernel(float* weights, int rows, int columns, int padded, const double* total,
                             bool root) {
    const double mean = *total / (double(rows) * columns);
    for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < rows * padded;
         k += gridDim.x * blockDim.x) {
        const double w = mean / (weights[k] + 1e-3 * mean);
        weights[k] = k % padded < columns ? static_cast<float>(root ? sqrt(w) : w) : 0.0f;
    }
}

template <class T>
__global__ void referenceKernel(View a, View b, int nB, int rows, int columns, int padded,
                                const float* weights, bool signedProduct, double* scores) {
    const std::int64_t i = blockIdx.x / nB;
    const std::int64_t j = blockIdx.x % nB;
    double sum = 0;
    for (int k = threadIdx.x; k < rows * columns; k += blockDim.x) {
        const int row = k / columns;
        const int column = k % columns;
        const double x =
            toFloat(static_cast<const T*>(a.data)[i * a.sampleStride + row * a.rowStride + column]);
        const double y =
            toFloat(static_cast<const T*>(b.data)[j * b.sampleStride + row * b.rowStride + column]);
        const double w = weights[std::int64_t(row) * padded + column];
        sum += signedProduct ? x * w * y : x * x * w * fabs(y);
    }
    __shared__ double parts[256];
    parts[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            parts[threadIdx.x] += parts[threadIdx.x + half];
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        scores[blockIdx.x] = parts[0];
    }
}

} // namespace

void fillGradients(void* data, DType type, std::int64_t samples, std::int64_t parameters,
                   std::uint64_t parameterSeed, std::uint64_t seed, cudaStream_t stream) {
    engine::cuda::withType(type, [&](auto t) {
        using T = decltype(t);
        fillKernel<T><<<2048, 256, 0, stream>>>(static_cast<T*>(data), samples, parameters,
                                                parameterSeed, seed);
    });
    check(cudaGetLastError(), "fill");
}

void structuralWeights(View a, View b, int nA, int nB, int rows, int columns, bool root,
                       float* weights, cudaStream_t stream) {
    const int padded = (columns + tileWidth - 1) / tileWidth * tileWidth;
    static double* total = nullptr;
    if (!total) {
        check(cudaMalloc(&total, sizeof(double)), "total");
    }
    check(cudaMemsetAsync(total, 0, sizeof(double), stream), "total");
    engine::cuda::withType(a.type, [&](auto t) {
        fisherKernel<decltype(t)>
            <<<128, 128, 0, stream>>>(a, b, nA, nB, rows, columns, padded, weights, total);
    });
    weightKernel<<<128, 128, 0, stream>>>(weights, rows, columns, padded, total, root);
    check(cudaGetLastError(), "weights");
}

void referenceScores(View a, View b, int nA, int nB, int rows, int columns, const float* weights,
                     bool signedProduct, double* scores, cudaStream_t stream) {
    const int padded = (columns + tileWidth - 1) / tileWidth * tileWidth;
    engine::cuda::withType(a.type, [&](auto t) {
        referenceKernel<decltype(t)><<<nA * nB, 256, 0, stream>>>(a, b, nB, rows, columns, padded,
                                                                  weights, signedProduct, scores);
    });
    check(cudaGetLastError(), "reference");
}

} // namespace qkov::bench
