// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/CudaError.h"
#include "engine/cuda/DeviceElements.cuh"
#include "engine/cuda/ScoreGeneral.h"
#include "engine/cuda/Tf32.cuh"

namespace qkov::engine::cuda {
namespace {

constexpr int threads = 256;
constexpr int depth = 32;        ///< parameters per step: half a tile
constexpr int pitch = depth + 4; ///< floats; keeps fragment loads free of bank conflicts
constexpr int rowsPerWarp = generalBlock / (threads / 32);
constexpr int promotion = 16; ///< steps between two roundings of the accumulators

struct Arguments {
    const GeneralItem* items;
    const float* weights;
    const std::int32_t* samples;
    const double* scales;
    float* partials;
    Element elementA, elementB;
    bool fast;
};

/// A lane takes one parameter of 16 samples, as stored: converting here would wait for the data.
/// A start below 0 is no sample.
template <class T>
__device__ __forceinline__ void fetch(T (&v)[rowsPerWarp], const void* base,
                                      const std::int64_t* starts, std::int64_t offset, bool inside,
                                      int warp) {
    const T* data = static_cast<const T*>(base) + offset;
#pragma unroll
    for (int i = 0; i < rowsPerWarp; ++i) {
        const std::int64_t start = starts[warp * rowsPerWarp + i];
        v[i] = inside && start >= 0 ? data[start] : T(0.0f);
    }
}

template <Element E, class T>
__device__ __forceinline__ void storeAs(float* tile, const T (&v)[rowsPerWarp], const Scale* scales,
                                        float weight, int warp, int lane) {
#pragma unroll
    for (int i = 0; i < rowsPerWarp; ++i) {
        const int row = warp * rowsPerWarp + i;
        tile[row * pitch + lane] = element<E>(scaled(v[i], scales[row])) * weight;
    }
}

template <class T>
__device__ __forceinline__ void store(Element e, float* tile, const T (&v)[rowsPerWarp],
                                      const Scale* scales, float weight, int warp, int lane) {
    switch (e) { // the same for all threads
    case Element::identity:
        return storeAs<Element::identity>(tile, v, scales, weight, warp, lane);
    case Element::absolute:
        return storeAs<Element::absolute>(tile, v, scales, weight, warp, lane);
    case Element::square:
        return storeAs<Element::square>(tile, v, scales, weight, warp, lane);
    case Element::squareRoot:
        return storeAs<Element::squareRoot>(tile, v, scales, weight, warp, lane);
    }
}

template <class T>
__global__ void __launch_bounds__(threads, 1) generalKernel(const Arguments p) {
    __shared__ float tileA[generalBlock * pitch];
    __shared__ float tileB[generalBlock * pitch];
    const GeneralItem& item = p.items[blockIdx.x];
    const float* weights = p.weights + item.weights;
    __shared__ std::int64_t starts[2][generalBlock];
    __shared__ Scale scales[2][generalBlock];
    {
        const int side = threadIdx.x / generalBlock;
        const int i = threadIdx.x % generalBlock;
        const bool there = i < (side ? item.samplesB : item.samplesA);
        const std::int64_t list = side ? item.listB : item.listA;
        const std::int64_t at = side ? item.scalesB : item.scalesA;
        starts[side][i] =
            there ? p.samples[list + i] * (side ? item.sampleStrideB : item.sampleStrideA) : -1;
        scales[side][i] = Scale(there && at >= 0 ? p.scales[at + i] : 1.0);
    }
    __syncthreads();
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int warpRow = (warp / 4) * 64;
    const int warpColumn = (warp % 4) * 32;
    const int steps = item.tiles * (tileWidth / depth);

    float acc[4][4][4] = {};
    float sum[4][4][4] = {};
    T nextA[rowsPerWarp];
    T nextB[rowsPerWarp];
    float nextWeight = 0;
    const auto load = [&](int step) {
        const int tile = item.firstTile + step / 2;
        const std::int64_t row = tile / item.tilesPerRow;
        const std::int64_t column =
            std::int64_t(tile % item.tilesPerRow) * tileWidth + (step % 2) * depth + lane;
        const bool inside = column < item.columns;
        nextWeight = weights[std::int64_t(step) * depth + lane];
        fetch(nextA, item.a, starts[0], row * item.rowStrideA + column, inside, warp);
        fetch(nextB, item.b, starts[1], row * item.rowStrideB + column, inside, warp);
    };
    load(0);
    for (int step = 0; step < steps; ++step) {
        store(p.elementA, tileA, nextA, scales[0], nextWeight, warp, lane);
        store(p.elementB, tileB, nextB, scales[1], 1.0f, warp, lane);
        __syncthreads();
        if (step + 1 < steps) {
            load(step + 1);
        }
#pragma unroll
        for (int k = 0; k < depth; k += 8) {
            std::uint32_t highB[4][2], lowB[4][2];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int q = 0; q < 2; ++q) {
                    const float x =
                        tileB[(warpColumn + n * 8 + lane / 4) * pitch + k + lane % 4 + 4 * q];
                    highB[n][q] = toTf32(x);
                    lowB[n][q] = toTf32(x - __uint_as_float(highB[n][q]));
                }
            }
#pragma unroll
            for (int m = 0; m < 4; ++m) {
                std::uint32_t highA[4], lowA[4];
#pragma unroll
                for (int q = 0; q < 4; ++q) {
                    const float x = tileA[(warpRow + m * 16 + lane / 4 + 8 * (q % 2)) * pitch + k +
                                          lane % 4 + 4 * (q / 2)];
                    highA[q] = toTf32(x);
                    lowA[q] = toTf32(x - __uint_as_float(highA[q]));
                }
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    if (!p.fast) {
                        multiplyTf32(acc[m][n], lowA, highB[n]);
                        multiplyTf32(acc[m][n], highA, lowB[n]);
                    }
                    multiplyTf32(acc[m][n], highA, highB[n]);
                }
            }
        }
        if (step % promotion == promotion - 1 || step + 1 == steps) {
#pragma unroll
            for (int m = 0; m < 4; ++m) {
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
    float* out = p.partials + item.partial;
#pragma unroll
    for (int m = 0; m < 4; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
            for (int q = 0; q < 4; ++q) {
                const int i = warpRow + m * 16 + lane / 4 + 8 * (q / 2);
                const int j = warpColumn + n * 8 + 2 * (lane % 4) + q % 2;
                out[i * generalBlock + j] = sum[m][n][q];
            }
        }
    }
}

__global__ void reduceKernel(const ReduceLaunch p) {
    const ReduceItem item = p.items[blockIdx.x];
    const int blocksB = (p.samplesB + p.blockColumns - 1) / p.blockColumns;
    const std::int64_t partialSize = std::int64_t(p.pitchRows) * p.pitchColumns;
    const int pairs = p.samplesA * p.samplesB;
    for (int at = blockIdx.y * blockDim.x + threadIdx.x; at < pairs; at += gridDim.y * blockDim.x) {
        const int i = at / p.samplesB;
        const int j = at % p.samplesB;
        const std::int64_t block = (i / p.blockRows) * blocksB + j / p.blockColumns;
        const float* source = p.partials + item.partial + block * item.chunks * partialSize +
                              (i % p.blockRows) * p.pitchColumns + j % p.blockColumns;
        double sum = 0;
        for (int c = 0; c < item.chunks; ++c) {
            sum += source[c * partialSize];
        }
        if (item.factorsA >= 0) {
            sum *= p.factors[item.factorsA + i];
        }
        if (item.factorsB >= 0) {
            sum *= p.factors[item.factorsB + j];
        }
        p.scores[item.score + at] = sum;
    }
}

} // namespace

void launchGeneral(const GeneralLaunch& l, cudaStream_t stream) {
    if (l.itemCount == 0) {
        return;
    }
    const Arguments p{l.items,    l.weights,  l.samples,  l.scales,
                      l.partials, l.elementA, l.elementB, l.fast};
    withType(l.type,
             [&](auto v) { generalKernel<decltype(v)><<<l.itemCount, threads, 0, stream>>>(p); });
    check(cudaGetLastError(), "general score kernel");
}

void launchReduce(const ReduceLaunch& l, cudaStream_t stream) {
    if (l.itemCount == 0) {
        return;
    }
    const int pairs = l.samplesA * l.samplesB;
    const unsigned slices = static_cast<unsigned>((pairs + 1023) / 1024);
    reduceKernel<<<dim3(l.itemCount, slices < 64 ? slices : 64), 256, 0, stream>>>(l);
    check(cudaGetLastError(), "sum of partial scores");
}

} // namespace qkov::engine::cuda
