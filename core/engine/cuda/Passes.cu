// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/CudaError.h"
#include "engine/cuda/DeviceElements.cuh"
#include "engine/cuda/Passes.h"
#include "engine/cuda/Tf32.cuh"

#include <algorithm>
#include <type_traits>

namespace qkov::engine::cuda {
namespace {

constexpr int threads = 256;

template <class T>
__device__ __forceinline__ double toDouble(T v) {
    if constexpr (sizeof(T) == 8) {
        return v;
    } else {
        return toFloat(v);
    }
}

/// NaN wins.
__device__ __forceinline__ double larger(double a, double b) {
    return a >= b || a != a ? a : b;
}

/// In float64, where squares of all that float32 holds fit.
template <Element E>
__device__ __forceinline__ double wideElement(double v) {
    switch (E) {
    case Element::identity:
        return v;
    case Element::absolute:
        return fabs(v);
    case Element::square:
        return v * v;
    case Element::squareRoot:
        return sqrt(v);
    }
    return 0;
}

/// Sum over the block, valid in thread 0. All threads call it.
template <class Combine>
__device__ double blockReduce(double v, Combine combine) {
    __shared__ double parts[threads / 32];
    for (int distance = 16; distance > 0; distance /= 2) {
        v = combine(v, __shfl_down_sync(0xFFFFFFFFu, v, distance));
    }
    __syncthreads(); // parts of an earlier call have been read
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = v;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < threads / 32; ++w) {
            v = combine(v, parts[w]);
        }
    }
    return v;
}

struct Plus {
    __device__ double operator()(double a, double b) const { return a + b; }
};
struct Larger {
    __device__ double operator()(double a, double b) const { return larger(a, b); }
};

/// f(row, column) for the rectangle's parameters that are this thread's.
template <class F>
__device__ __forceinline__ void forParameters(const Rectangle& part, F&& f) {
    const std::int64_t count = part.rows * part.columns;
    std::int64_t row = threadIdx.x / part.columns;
    std::int64_t column = threadIdx.x % part.columns;
    const std::int64_t rowStep = threads / part.columns;
    const std::int64_t columnStep = threads % part.columns;
    for (std::int64_t k = threadIdx.x; k < count; k += threads) {
        f(row, column);
        row += rowStep;
        column += columnStep;
        if (column >= part.columns) {
            column -= part.columns;
            ++row;
        }
    }
}

template <class T>
__global__ void __launch_bounds__(threads)
    statisticsKernel(const StatisticsItem* items, bool sums, Statistics* out) {
    const StatisticsItem& item = items[blockIdx.y];
    const T* data = static_cast<const T*>(item.part.data) + blockIdx.x * item.part.sampleStride;
    double largest = 0;
    double sum = 0;
    double squares = 0;
    double roots = 0;
    forParameters(item.part, [&](std::int64_t row, std::int64_t column) {
        const double v = fabs(toDouble(data[row * item.part.rowStride + column]));
        largest = larger(largest, v);
        if (sums) {
            sum += v;
            squares += v * v;
            roots += sqrt(v);
        }
    });
    Statistics s{};
    s.largest = blockReduce(largest, Larger());
    if (sums) {
        s.sum = blockReduce(sum, Plus());
        s.squares = blockReduce(squares, Plus());
        s.roots = blockReduce(roots, Plus());
    }
    if (threadIdx.x == 0) {
        out[item.out + blockIdx.x] = s;
    }
}

template <class T, Element E>
__global__ void __launch_bounds__(threads)
    fisherKernel(const FisherItem* items, int samples, const double* scales, const double* weights,
                 double* out) {
    const FisherItem& item = items[blockIdx.y];
    const std::int64_t count = item.part.rows * item.part.columns;
    for (std::int64_t k = blockIdx.x * std::int64_t(threads) + threadIdx.x; k < count;
         k += std::int64_t(gridDim.x) * threads) {
        const T* data = static_cast<const T*>(item.part.data) +
                        k / item.part.columns * item.part.rowStride + k % item.part.columns;
        double sum = 0;
        constexpr int together = 8; // loads in flight
        int u = 0;
        for (; u + together <= samples; u += together) {
            T v[together];
#pragma unroll
            for (int i = 0; i < together; ++i) {
                v[i] = data[(u + i) * item.part.sampleStride];
            }
#pragma unroll
            for (int i = 0; i < together; ++i) {
                const double weight = weights[item.scales + u + i];
                const double x = toDouble(v[i]) * scales[item.scales + u + i];
                sum += weight == 0 ? 0 : weight * wideElement<E>(x);
            }
        }
        for (; u < samples; ++u) {
            const double weight = weights[item.scales + u];
            const double x = toDouble(data[u * item.part.sampleStride]) * scales[item.scales + u];
            sum += weight == 0 ? 0 : weight * wideElement<E>(x);
        }
        out[item.out + k] = sum;
    }
}

template <class T, Element E>
__global__ void __launch_bounds__(threads)
    normKernel(const NormItem* items, const std::int32_t* numbers, const double* scales,
               const float* weights, double* out) {
    const NormItem& item = items[blockIdx.y];
    const std::int64_t sample = numbers[item.samples + blockIdx.x];
    const double scale = scales[item.scales + blockIdx.x];
    const T* data = static_cast<const T*>(item.part.data) + sample * item.part.sampleStride;
    const std::int64_t padded = (item.part.columns + tileWidth - 1) / tileWidth * tileWidth;
    double sum = 0;
    forParameters(item.part, [&](std::int64_t row, std::int64_t column) {
        const double x = toDouble(data[row * item.part.rowStride + column]) * scale;
        const double y = element<E>(static_cast<float>(x));
        sum += weights[item.weights + row * padded + column] * y * y;
    });
    sum = blockReduce(sum, Plus());
    if (threadIdx.x == 0) {
        out[item.out + blockIdx.x] = sum;
    }
}

template <class T, class To>
__global__ void __launch_bounds__(threads)
    copyKernel(const Rectangle source, int samples, To* target) {
    const std::int64_t count = source.rows * source.columns;
    for (std::int64_t s = blockIdx.y; s < samples; s += gridDim.y) {
        const T* data = static_cast<const T*>(source.data) + s * source.sampleStride;
        for (std::int64_t k = blockIdx.x * std::int64_t(threads) + threadIdx.x; k < count;
             k += std::int64_t(gridDim.x) * threads) {
            target[s * count + k] = static_cast<To>(
                toDouble(data[k / source.columns * source.rowStride + k % source.columns]));
        }
    }
}

constexpr int rebuildTile = 64;  ///< rows and columns of one block
constexpr int rebuildDepth = 16; ///< tokens per step
constexpr int rebuildPitch = rebuildTile + 8;

template <class TR, class TC>
__global__ void __launch_bounds__(128)
    rebuildKernel(const TR* rowFactor, const TC* columnFactor, std::int64_t rowWidth,
                  std::int64_t columnWidth, const std::int64_t* ranges, std::int64_t firstRow,
                  std::int64_t rows, std::int64_t firstColumn, std::int64_t columns,
                  float* target) {
    constexpr bool exactRow = sizeof(TR) == 2;
    constexpr bool exactColumn = sizeof(TC) == 2;
    __shared__ float a[rebuildDepth][rebuildPitch];
    __shared__ float b[rebuildDepth][rebuildPitch];
    const std::int64_t row0 = std::int64_t(blockIdx.y) * rebuildTile;
    const std::int64_t column0 = std::int64_t(blockIdx.x) * rebuildTile;
    const std::int64_t begin = ranges[2 * blockIdx.z];
    const std::int64_t end = ranges[2 * blockIdx.z + 1];
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int warpRow = warp / 2 * 32;
    const int warpColumn = warp % 2 * 32;
    const int feature = threadIdx.x % rebuildTile;
    const int parity = threadIdx.x / rebuildTile;
    const bool rowThere = row0 + feature < rows;
    const bool columnThere = column0 + feature < columns;
    const TR* rowAt = rowFactor + (begin + parity) * rowWidth + firstRow + row0 + feature;
    const TC* columnAt =
        columnFactor + (begin + parity) * columnWidth + firstColumn + column0 + feature;
    float sum[2][4][4] = {};
    float acc[2][4][4] = {};
    int steps = 0;
    for (std::int64_t t0 = begin; t0 < end; t0 += rebuildDepth) {
        const int left = static_cast<int>(min(end - t0, std::int64_t(rebuildDepth)));
#pragma unroll
        for (int t = 0; t < rebuildDepth; t += 2) { // two tokens at a time, one feature per thread
            const bool there = t + parity < left;
            a[t + parity][feature] = there && rowThere ? toFloat(rowAt[t * rowWidth]) : 0.0f;
            b[t + parity][feature] =
                there && columnThere ? toFloat(columnAt[t * columnWidth]) : 0.0f;
        }
        rowAt += rebuildDepth * rowWidth;
        columnAt += rebuildDepth * columnWidth;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < rebuildDepth; k += 8) {
            std::uint32_t highB[4][2], lowB[4][2];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int q = 0; q < 2; ++q) {
                    const float x = b[k + lane % 4 + 4 * q][warpColumn + n * 8 + lane / 4];
                    highB[n][q] = exactColumn ? __float_as_uint(x) : toTf32(x);
                    lowB[n][q] = exactColumn ? 0 : toTf32(x - __uint_as_float(highB[n][q]));
                }
            }
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                std::uint32_t highA[4], lowA[4];
#pragma unroll
                for (int q = 0; q < 4; ++q) {
                    const float x =
                        a[k + lane % 4 + 4 * (q / 2)][warpRow + m * 16 + lane / 4 + 8 * (q % 2)];
                    highA[q] = exactRow ? __float_as_uint(x) : toTf32(x);
                    lowA[q] = exactRow ? 0 : toTf32(x - __uint_as_float(highA[q]));
                }
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    if constexpr (!exactRow) {
                        multiplyTf32(acc[m][n], lowA, highB[n]);
                    }
                    if constexpr (!exactColumn) {
                        multiplyTf32(acc[m][n], highA, lowB[n]);
                    }
                    multiplyTf32(acc[m][n], highA, highB[n]);
                }
            }
        }
        // Tensor cores truncate when they accumulate: round now and then.
        if (++steps % 4 == 0 || t0 + rebuildDepth >= end) {
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int n = 0; n < 4; ++n) {
#pragma unroll
                    for (int q = 0; q < 4; ++q) {
                        sum[m][n][q] += acc[m][n][q];
                        acc[m][n][q] = 0;
                    }
                }
            }
        }
        __syncthreads();
    }
    float* out = target + std::int64_t(blockIdx.z) * rows * columns;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            const std::int64_t column = column0 + warpColumn + n * 8 + 2 * (lane % 4);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const std::int64_t row = row0 + warpRow + m * 16 + lane / 4 + 8 * half;
                if (row >= rows || column >= columns) {
                    continue;
                }
                float* at = out + row * columns + column;
                const float first = sum[m][n][2 * half];
                const float second = sum[m][n][2 * half + 1];
                if (columns % 2 == 0) { // both are there, and aligned
                    *reinterpret_cast<float2*>(at) = make_float2(first, second);
                } else {
                    at[0] = first;
                    if (column + 1 < columns) {
                        at[1] = second;
                    }
                }
            }
        }
    }
}

/// Calls f with the element function as a compile-time constant.
template <class F>
void withElement(Element e, F&& f) {
    switch (e) {
    case Element::identity:
        return f(std::integral_constant<Element, Element::identity>());
    case Element::absolute:
        return f(std::integral_constant<Element, Element::absolute>());
    case Element::square:
        return f(std::integral_constant<Element, Element::square>());
    case Element::squareRoot:
        return f(std::integral_constant<Element, Element::squareRoot>());
    }
    throw Error("unknown transform");
}

unsigned blocksFor(std::int64_t count) {
    return static_cast<unsigned>(std::min<std::int64_t>((count + threads - 1) / threads, 4096));
}

} // namespace

void launchStatistics(const StatisticsItem* items, int itemCount, DType type, int samples,
                      bool sums, Statistics* out, cudaStream_t stream) {
    if (itemCount == 0 || samples == 0) {
        return;
    }
    withType(type, [&](auto v) {
        statisticsKernel<decltype(v)>
            <<<dim3(samples, itemCount), threads, 0, stream>>>(items, sums, out);
    });
    check(cudaGetLastError(), "statistics of gradients");
}

void launchFisher(const FisherItem* items, int itemCount, std::int64_t longest, DType type,
                  int samples, Element element, const double* scales, const double* weights,
                  double* out, cudaStream_t stream) {
    if (itemCount == 0 || longest == 0) {
        return;
    }
    const dim3 grid(blocksFor(longest), itemCount);
    withType(type, [&](auto v) {
        withElement(element, [&](auto e) {
            fisherKernel<decltype(v), decltype(e)::value>
                <<<grid, threads, 0, stream>>>(items, samples, scales, weights, out);
        });
    });
    check(cudaGetLastError(), "Fisher sums");
}

void launchNorms(const NormItem* items, int itemCount, DType type, int samples, Element element,
                 const std::int32_t* numbers, const double* scales, const float* weights,
                 double* out, cudaStream_t stream) {
    if (itemCount == 0 || samples == 0) {
        return;
    }
    withType(type, [&](auto v) {
        withElement(element, [&](auto e) {
            normKernel<decltype(v), decltype(e)::value>
                <<<dim3(samples, itemCount), threads, 0, stream>>>(items, numbers, scales, weights,
                                                                   out);
        });
    });
    check(cudaGetLastError(), "norms of gradients");
}

void launchCopy(const Rectangle& source, DType type, int samples, DType targetType, void* target,
                cudaStream_t stream) {
    const std::int64_t count = source.rows * source.columns;
    if (samples == 0 || count == 0) {
        return;
    }
    const dim3 grid(blocksFor(count), static_cast<unsigned>(std::min(samples, 32768)));
    withType(type, [&](auto v) {
        using T = decltype(v);
        if (targetType == DType::f64) {
            copyKernel<T>
                <<<grid, threads, 0, stream>>>(source, samples, static_cast<double*>(target));
        } else {
            copyKernel<T>
                <<<grid, threads, 0, stream>>>(source, samples, static_cast<float*>(target));
        }
    });
    check(cudaGetLastError(), "conversion of gradients");
}

void launchRebuild(const Factors& f, std::int64_t firstSample, std::int64_t samples,
                   std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns,
                   float* target, cudaStream_t stream) {
    if (rows == 0 || columns == 0) {
        return;
    }
    constexpr std::int64_t most = 32768; // of a grid's third dimension
    for (std::int64_t s = 0; s < samples; s += most) {
        const dim3 grid(static_cast<unsigned>((columns + rebuildTile - 1) / rebuildTile),
                        static_cast<unsigned>((rows + rebuildTile - 1) / rebuildTile),
                        static_cast<unsigned>(std::min(most, samples - s)));
        withType(f.rowType, [&](auto r) {
            withType(f.columnType, [&](auto c) {
                using TR = decltype(r);
                using TC = decltype(c);
                rebuildKernel<TR, TC><<<grid, 128, 0, stream>>>(
                    static_cast<const TR*>(f.rowFactor), static_cast<const TC*>(f.columnFactor),
                    f.rowWidth, f.columnWidth, f.ranges + 2 * (firstSample + s), row, rows, column,
                    columns, target + s * rows * columns);
            });
        });
        check(cudaGetLastError(), "rebuilding of factored gradients");
    }
}

} // namespace qkov::engine::cuda
