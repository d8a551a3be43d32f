// SPDX-License-Identifier: GPL-3.0-or-later
// Factors of samples on their way into what is kept: two passes, one for the largest numbers.
#include "collect/cuda/Kernels.h"
#include "engine/cuda/CudaError.h"

#include <algorithm>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace qkov::collect::cuda {
namespace {

using engine::cuda::check;

constexpr int storeThreads = 256;
constexpr int foursPerThread = 8;

cudaStream_t start(const Queue& queue) {
    check(cudaSetDevice(queue.device), "choice of the device");
    return static_cast<cudaStream_t>(queue.stream);
}

/// Blocks share a sample's numbers, which lie behind one another.
dim3 blocksFor(const SampleRows& rows) {
    const std::int64_t perBlock = storeThreads * foursPerThread * 4;
    const std::int64_t most = (rows.tokens * rows.columns + perBlock - 1) / perBlock;
    return {static_cast<unsigned>(std::max<std::int64_t>(1, most)),
            static_cast<unsigned>(rows.samples)};
}

bool inFours(const SampleRows& rows) {
    return rows.columns % 4 == 0 && reinterpret_cast<std::uintptr_t>(rows.values) % 16 == 0;
}

struct Span {
    std::int64_t begin, end;
};

__device__ __forceinline__ Span spanOf(const SampleRows& rows) {
    const std::int64_t all = rows.lengths[blockIdx.y] * rows.columns;
    constexpr std::int64_t perBlock = std::int64_t(storeThreads) * foursPerThread * 4;
    const std::int64_t begin = blockIdx.x * perBlock;
    return {begin, min(all, begin + perBlock)};
}

__device__ __forceinline__ unsigned magnitude(float v) {
    return __float_as_uint(v) & 0x7FFFFFFFu;
}

template <bool fours>
__global__ void __launch_bounds__(storeThreads)
    largestKernel(const SampleRows rows, unsigned* largest) {
    __shared__ unsigned most;
    if (threadIdx.x == 0) {
        most = 0;
    }
    __syncthreads();
    const Span span = spanOf(rows);
    const float* from = rows.values + blockIdx.y * rows.tokens * rows.columns;
    unsigned own = 0;
    if constexpr (fours) {
#pragma unroll foursPerThread
        for (std::int64_t i = span.begin / 4 + threadIdx.x; i < span.end / 4; i += storeThreads) {
            const float4 v = reinterpret_cast<const float4*>(from)[i];
            own = max(max(own, max(magnitude(v.x), magnitude(v.y))),
                      max(magnitude(v.z), magnitude(v.w)));
        }
    } else {
        for (std::int64_t i = span.begin + threadIdx.x; i < span.end; i += storeThreads) {
            own = max(own, magnitude(from[i]));
        }
    }
    own = __reduce_max_sync(0xFFFFFFFFu, own);
    if (threadIdx.x % 32 == 0) {
        atomicMax(&most, own);
    }
    __syncthreads();
    if (threadIdx.x == 0 && span.begin < span.end) {
        atomicMax(largest + blockIdx.y, most);
    }
}

__device__ __forceinline__ void store(float v, __half* to, unsigned& kept) {
    *to = __float2half_rn(v);
    kept += __half2float(*to) != 0;
}

__device__ __forceinline__ void store(float v, float* to, unsigned& kept) {
    *to = v;
    kept += v != 0;
}

template <class T, bool fours>
__global__ void __launch_bounds__(storeThreads) storeKernel(const StoreRows work) {
    __shared__ unsigned counts[2];
    if (threadIdx.x < 2) {
        counts[threadIdx.x] = 0;
    }
    __syncthreads();
    const Span span = spanOf(work.rows);
    const float* from = work.rows.values + blockIdx.y * work.rows.tokens * work.rows.columns;
    T* to = reinterpret_cast<T*>(work.targets[blockIdx.y]);
    const float factor = work.factors != nullptr ? work.factors[blockIdx.y] : 1;
    unsigned before = 0, kept = 0;
    if constexpr (fours) {
        struct alignas(4 * sizeof(T)) Four {
            T v[4];
        };
#pragma unroll foursPerThread
        for (std::int64_t i = span.begin / 4 + threadIdx.x; i < span.end / 4; i += storeThreads) {
            const float4 v = reinterpret_cast<const float4*>(from)[i];
            before += (v.x != 0) + (v.y != 0) + (v.z != 0) + (v.w != 0);
            Four four;
            store(v.x * factor, four.v, kept);
            store(v.y * factor, four.v + 1, kept);
            store(v.z * factor, four.v + 2, kept);
            store(v.w * factor, four.v + 3, kept);
            reinterpret_cast<Four*>(to)[i] = four;
        }
    } else {
        for (std::int64_t i = span.begin + threadIdx.x; i < span.end; i += storeThreads) {
            before += from[i] != 0;
            store(from[i] * factor, to + i, kept);
        }
    }
    before = __reduce_add_sync(0xFFFFFFFFu, before);
    kept = __reduce_add_sync(0xFFFFFFFFu, kept);
    if (threadIdx.x % 32 == 0) {
        atomicAdd(counts, before);
        atomicAdd(counts + 1, kept);
    }
    __syncthreads();
    if (threadIdx.x < 2 && counts[threadIdx.x] > 0) {
        atomicAdd(reinterpret_cast<unsigned long long*>(work.counts) + threadIdx.x,
                  static_cast<unsigned long long>(counts[threadIdx.x]));
    }
}

} // namespace

void largestPerSample(const SampleRows& rows, float* largest, const Queue& queue) {
    const cudaStream_t stream = start(queue);
    auto* bits = reinterpret_cast<unsigned*>(largest);
    if (inFours(rows)) {
        largestKernel<true><<<blocksFor(rows), storeThreads, 0, stream>>>(rows, bits);
    } else {
        largestKernel<false><<<blocksFor(rows), storeThreads, 0, stream>>>(rows, bits);
    }
    check(cudaGetLastError(), "largest numbers of samples");
}

void storeRows(const StoreRows& work, const Queue& queue) {
    const cudaStream_t stream = start(queue);
    const bool fours = work.aligned && inFours(work.rows);
    const dim3 blocks = blocksFor(work.rows);
    if (work.half) {
        fours ? storeKernel<__half, true><<<blocks, storeThreads, 0, stream>>>(work)
              : storeKernel<__half, false><<<blocks, storeThreads, 0, stream>>>(work);
    } else {
        fours ? storeKernel<float, true><<<blocks, storeThreads, 0, stream>>>(work)
              : storeKernel<float, false><<<blocks, storeThreads, 0, stream>>>(work);
    }
    check(cudaGetLastError(), "storing of rows");
}

} // namespace qkov::collect::cuda
