// SPDX-License-Identifier: GPL-3.0-or-later
// One block: two groups of four warps that convert A and run the tensor cores (64 samples of A
// each), one warp that feeds the copy engine, three warps that take the absolute value of B in
// place. A and B flow through a ring of shared-memory stages, one tile of 64 parameters each.
//
// Accuracy. |g| is exact in its own type. A' is split into terms: float16 hi + lo (22 bits) under a
// power-of-two scale per sample that is chosen anew every `rescale` tiles and whenever a value
// would overflow; bfloat16 into three terms (24 bits), which needs no scale. Tensor cores truncate
// when they add to their accumulator; so it is emptied into a rounded float32 sum every `promotion`
// tiles.
#include "engine/cuda/CudaError.h"
#include "engine/cuda/DeviceElements.cuh"
#include "engine/cuda/Hopper.cuh"
#include "engine/cuda/ScoreSm90.h"
#include "engine/cuda/Wgmma.cuh"

#include <algorithm>
#include <string>
#include <type_traits>

namespace qkov::engine::cuda {
namespace {

constexpr int threads = 384;
constexpr int promotion = 8;
constexpr int rescale = 32;
constexpr int consumerWarps = 8;
constexpr int absWarps = 3;
constexpr std::uint32_t tileBytesA = sm90BlockA * tileWidth * 2;
/// Scale of a sample whose size is not known yet: its first non-zero value overflows.
constexpr float unknownScale = 0x1p120f;

struct Arguments {
    const CUtensorMap* maps;
    const Sm90Entry* entries;
    const Sm90Item* items;
    const float* weights;
    const float* scales;
    float* partials;
    int itemCount;
    int stages;
    int samplesA;
    int samplesB;
};

__host__ __device__ constexpr std::uint32_t stageBytes(int width) {
    return tileBytesA + width * tileWidth * 2 + 1024; // A, B, weights
}

__device__ __forceinline__ int firstTile(const Sm90Entry& entry, int chunk) {
    return static_cast<int>(std::int64_t(entry.tiles) * chunk / entry.chunks);
}

template <class T>
struct Pair;
template <>
struct Pair<__half> {
    static __device__ __forceinline__ float2 unpack(std::uint32_t v) {
        return __half22float2(*reinterpret_cast<const __half2*>(&v));
    }
    static __device__ __forceinline__ std::uint32_t pack(float x, float y) {
        const __half2 h = __floats2half2_rn(x, y);
        return *reinterpret_cast<const std::uint32_t*>(&h);
    }
};
template <>
struct Pair<__nv_bfloat16> {
    static __device__ __forceinline__ float2 unpack(std::uint32_t v) {
        return make_float2(__uint_as_float(v << 16), __uint_as_float(v & 0xFFFF0000u));
    }
    static __device__ __forceinline__ std::uint32_t pack(float x, float y) {
        const __nv_bfloat162 h = __floats2bfloat162_rn(x, y);
        return *reinterpret_cast<const std::uint32_t*>(&h);
    }
};

/// A power of two that brings `largest` to [2^11, 2^12); unchanged where that makes no sense.
__device__ __forceinline__ float scaleFor(float largest, float current) {
    const int exponent = static_cast<int>((__float_as_uint(largest) >> 23) & 255) - 127;
    if (largest == 0.0f || exponent == 128) {
        return current;
    }
    const int wanted = min(max(11 - exponent, -120), 120);
    return __uint_as_float(static_cast<std::uint32_t>(wanted + 127) << 23);
}

__device__ __forceinline__ float quadMax(float v) {
    v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, 2));
}

/// The 32 values of A that a thread holds of a tile: for kk of 4 steps of 16 parameters, registers
/// 0 and 2 belong to row lane/4, 1 and 3 to the row 8 below; 2 and 3 lie 8 parameters further.
struct Terms {
    std::uint32_t hi[4][4];
    std::uint32_t mid[4][4];
    std::uint32_t lo[4][4];
};

/// Where a thread finds its part of a tile in shared memory.
struct TileView {
    std::uint32_t row;      ///< address of the row that this lane hands to ldmatrix
    std::uint32_t chunk;    ///< 0 or 1: first or second 8 parameters of a step
    std::uint32_t swizzle;  ///< row modulo 8
    std::uint32_t weights;  ///< address of this lane's first weight
    float factor0, factor1; ///< of the thread's two samples (bfloat16 only)

    __device__ __forceinline__ void step(int kk, std::uint32_t (&raw)[4],
                                         float2 (&weight)[2]) const {
        loadMatrix4(raw, row + (((2 * kk + chunk) ^ swizzle) << 4));
        weight[0] = loadShared2(weights + kk * 64);
        weight[1] = loadShared2(weights + kk * 64 + 32);
    }
};

/// float16's own range needs no factor before squaring; the caller applies it to the sums.
template <Element E, class T>
__device__ __forceinline__ float2 weighted(float2 g, float2 weight, float factor) {
    if constexpr (!std::is_same_v<T, __half>) {
        g.x *= factor;
        g.y *= factor;
    }
    return make_float2(element<E>(g.x) * weight.x, element<E>(g.y) * weight.y);
}

template <int Count, Element E, class T>
__device__ __forceinline__ void split(Terms& terms, const TileView& view, float scale0,
                                      float scale1) {
#pragma unroll
    for (int kk = 0; kk < 4; ++kk) {
        std::uint32_t raw[4];
        float2 weight[2];
        view.step(kk, raw, weight);
#pragma unroll
        for (int q = 0; q < 4; ++q) {
            const float2 g = Pair<T>::unpack(raw[q]);
            float2 v = weighted<E, T>(g, weight[q / 2], q % 2 == 0 ? view.factor0 : view.factor1);
            float x = v.x;
            float y = v.y;
            if constexpr (std::is_same_v<T, __half>) {
                x *= q % 2 == 0 ? scale0 : scale1;
                y *= q % 2 == 0 ? scale0 : scale1;
            }
            terms.hi[kk][q] = Pair<T>::pack(x, y);
            if constexpr (Count > 1) {
                const float2 h = Pair<T>::unpack(terms.hi[kk][q]);
                x -= h.x;
                y -= h.y;
                terms.mid[kk][q] = Pair<T>::pack(x, y);
            }
            if constexpr (Count > 2) {
                const float2 h = Pair<T>::unpack(terms.mid[kk][q]);
                terms.lo[kk][q] = Pair<T>::pack(x - h.x, y - h.y);
            }
        }
    }
}

/// True for every lane when a float16 of the warp's rows became infinite.
__device__ __forceinline__ bool overflowed(const std::uint32_t (&hi)[4][4]) {
    __half2 largest = __habs2(*reinterpret_cast<const __half2*>(&hi[0][0]));
#pragma unroll
    for (int i = 1; i < 16; ++i) {
        largest = __hmax2(largest, __habs2(*reinterpret_cast<const __half2*>(&hi[i / 4][i % 4])));
    }
    const std::uint32_t bits = *reinterpret_cast<const std::uint32_t*>(&largest);
    return __any_sync(0xFFFFFFFFu, (bits & 0x7FFFu) >= 0x7C00u || (bits >> 16) >= 0x7C00u);
}

/// New scales of the thread's two rows, from their largest values in this tile. A row that fits
/// keeps its own.
template <Element E, class T>
__device__ __forceinline__ float2 rowScales(const TileView& view, float scale0, float scale1) {
    float largest0 = 0;
    float largest1 = 0;
#pragma unroll
    for (int kk = 0; kk < 4; ++kk) {
        std::uint32_t raw[4];
        float2 weight[2];
        view.step(kk, raw, weight);
#pragma unroll
        for (int q = 0; q < 4; ++q) {
            const float2 g = Pair<T>::unpack(raw[q]);
            const float2 v = weighted<E, T>(g, weight[q / 2], 1.0f);
            const float m = fmaxf(fabsf(v.x), fabsf(v.y));
            (q % 2 == 0 ? largest0 : largest1) = fmaxf(q % 2 == 0 ? largest0 : largest1, m);
        }
    }
    largest0 = quadMax(largest0);
    largest1 = quadMax(largest1);
    return make_float2(largest0 * scale0 >= 0x1p15f ? scaleFor(largest0, scale0) : scale0,
                       largest1 * scale1 >= 0x1p15f ? scaleFor(largest1, scale1) : scale1);
}

template <int N, int Count, Element E, class T>
__device__ void consume(const Arguments& p, std::uint32_t stagesBase, std::uint32_t fullBase,
                        std::uint32_t readyBase, std::uint32_t emptyBase) {
    constexpr bool scaled = std::is_same_v<T, __half>;
    constexpr std::uint32_t bytesB = N * tileWidth * 2;
    const int warp = static_cast<int>(threadIdx.x) / 32 - 4; // of the consumers
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int firstRow = warp * 16;
    const int row = firstRow + lane / 4; // of the accumulators, with the row 8 below
    const int matrixRow = firstRow + lane % 16;
    const std::uint32_t rowOffset = matrixRow * 128;
    const std::uint32_t chunkOfLane = lane / 16;
    const std::uint32_t swizzle = matrixRow & 7;

    int stage = 0;
    std::uint32_t phase = 0;
    for (int index = blockIdx.x; index < p.itemCount; index += gridDim.x) {
        const Sm90Item item = p.items[index];
        const Sm90Entry& entry = p.entries[item.entry];
        const int tiles = firstTile(entry, item.chunk + 1) - firstTile(entry, item.chunk);
        float acc[N / 2] = {};
        float sum[N / 2] = {};
        float scale0 = unknownScale;
        float scale1 = unknownScale;
        float factor0 = 1;
        float factor1 = 1;
        if constexpr (!scaled) {
            if (entry.scales >= 0) {
                const float* factors = p.scales + entry.scales;
                factor0 = row < p.samplesA ? factors[row] : 0;
                factor1 = row + 8 < p.samplesA ? factors[row + 8] : 0;
            }
        }
        // Accumulators are in units of 1/scale; the sums are not.
        const auto empty = [&] {
            const float f0 = scaled ? 1.0f / scale0 : 1.0f;
            const float f1 = scaled ? 1.0f / scale1 : 1.0f;
#pragma unroll
            for (int n = 0; n < N / 2; n += 4) {
                sum[n] += acc[n] * f0;
                sum[n + 1] += acc[n + 1] * f0;
                sum[n + 2] += acc[n + 2] * f1;
                sum[n + 3] += acc[n + 3] * f1;
                acc[n] = acc[n + 1] = acc[n + 2] = acc[n + 3] = 0;
            }
        };
        for (int tile = 0; tile < tiles; ++tile) {
            const std::uint32_t base = stagesBase + stage * stageBytes(N);
            barrierWait(fullBase + stage * 8, phase);
            const TileView view{base + rowOffset, chunkOfLane,
                                swizzle,          base + tileBytesA + bytesB + (lane % 4) * 8,
                                factor0,          factor1};
            Terms terms;
            split<Count, E, T>(terms, view, scale0, scale1);
            if constexpr (scaled) {
                if (overflowed(terms.hi)) {
                    empty();
                    const float2 next = rowScales<E, T>(view, scale0, scale1);
                    scale0 = next.x;
                    scale1 = next.y;
                    split<Count, E, T>(terms, view, scale0, scale1);
                }
            }
            barrierWait(readyBase + stage * 8, phase);
            const std::uint64_t descriptor = tileDescriptor(base + tileBytesA);
            wgmmaFence();
#pragma unroll
            for (int kk = 0; kk < 4; ++kk) {
                wgmma(acc, terms.hi[kk], descriptor + 2 * kk, T());
                if constexpr (Count > 1) {
                    wgmma(acc, terms.mid[kk], descriptor + 2 * kk, T());
                }
                if constexpr (Count > 2) {
                    wgmma(acc, terms.lo[kk], descriptor + 2 * kk, T());
                }
            }
            wgmmaCommit();
            wgmmaWaitAll();
            if (lane == 0) {
                barrierArrive(emptyBase + stage * 8);
            }
            if (++stage == p.stages) {
                stage = 0;
                phase ^= 1;
            }
            if (tile % promotion == promotion - 1) {
                empty();
                if (tile % rescale == rescale - 1) {
                    scale0 = scale1 = unknownScale;
                }
            }
        }
        empty();
        // A thread's accumulators: row lane/4 and the row 8 below, columns 8 c + 2 (lane % 4) + {0,
        // 1}.
        float* out = p.partials + entry.partial + std::int64_t(item.chunk) * sm90BlockA * N +
                     row * N + 2 * (lane % 4);
#pragma unroll
        for (int n = 0; n < N / 2; n += 4) {
            if (row < p.samplesA) {
                *reinterpret_cast<float2*>(out + 2 * n) = make_float2(sum[n], sum[n + 1]);
            }
            if (row + 8 < p.samplesA) {
                *reinterpret_cast<float2*>(out + 8 * N + 2 * n) =
                    make_float2(sum[n + 2], sum[n + 3]);
            }
        }
    }
}

template <int N>
__device__ void produce(const Arguments& p, std::uint32_t stagesBase, std::uint32_t fullBase,
                        std::uint32_t emptyBase) {
    constexpr std::uint32_t bytesB = N * tileWidth * 2;
    const std::uint32_t bytes = (p.samplesA + p.samplesB) * tileWidth * 2 + tileWidth * 4;
    int stage = 0;
    std::uint32_t phase = 1; // the ring starts empty
    for (int index = blockIdx.x; index < p.itemCount; index += gridDim.x) {
        const Sm90Item item = p.items[index];
        const Sm90Entry entry = p.entries[item.entry];
        if (index + static_cast<int>(gridDim.x) < p.itemCount) {
            const Sm90Entry& next = p.entries[p.items[index + gridDim.x].entry];
            prefetchMap(p.maps + next.mapA);
            prefetchMap(p.maps + next.mapB);
        }
        const CUtensorMap* mapA = p.maps + entry.mapA;
        const CUtensorMap* mapB = p.maps + entry.mapB;
        const int first = firstTile(entry, item.chunk);
        const int tiles = firstTile(entry, item.chunk + 1) - first;
        int row = entry.row + first / entry.tilesPerRow;
        int inRow = first % entry.tilesPerRow;
        const float* weights = p.weights + entry.weights + std::int64_t(first) * tileWidth;
        for (int tile = 0; tile < tiles; ++tile) {
            const std::uint32_t base = stagesBase + stage * stageBytes(N);
            const std::uint32_t full = fullBase + stage * 8;
            barrierWait(emptyBase + stage * 8, phase);
            barrierExpect(full, bytes);
            const int column = entry.column + inRow * tileWidth;
            copyBox(base + tileBytesA, mapB, column, row, entry.sampleB, full);
            copyBox(base, mapA, column, row, entry.sampleA, full);
            copyBulk(base + tileBytesA + bytesB, weights + std::int64_t(tile) * tileWidth,
                     tileWidth * 4, full);
            if (++inRow == entry.tilesPerRow) {
                inRow = 0;
                ++row;
            }
            if (++stage == p.stages) {
                stage = 0;
                phase ^= 1;
            }
        }
    }
}

/// |B| in place: clears the sign bits of the tile.
template <int N>
__device__ void absolute(const Arguments& p, bool clear, std::uint32_t stagesBase,
                         std::uint32_t fullBase, std::uint32_t readyBase) {
    const int thread = static_cast<int>(threadIdx.x) - 32;
    const int vectors = p.samplesB * 8;
    int stage = 0;
    std::uint32_t phase = 0;
    for (int index = blockIdx.x; index < p.itemCount; index += gridDim.x) {
        const Sm90Item item = p.items[index];
        const Sm90Entry& entry = p.entries[item.entry];
        const int tiles = firstTile(entry, item.chunk + 1) - firstTile(entry, item.chunk);
        for (int tile = 0; tile < tiles; ++tile) {
            barrierWait(fullBase + stage * 8, phase);
            if (clear) {
                const std::uint32_t base = stagesBase + stage * stageBytes(N) + tileBytesA;
#pragma unroll 5
                for (int v = thread; v < vectors; v += absWarps * 32) {
                    std::uint32_t x, y, z, w;
                    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                                 : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
                                 : "r"(base + v * 16));
                    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(base + v * 16),
                                 "r"(x & 0x7FFF7FFFu), "r"(y & 0x7FFF7FFFu), "r"(z & 0x7FFF7FFFu),
                                 "r"(w & 0x7FFF7FFFu)
                                 : "memory");
                }
                fenceAsync();
            }
            __syncwarp();
            if (threadIdx.x % 32 == 0) {
                barrierArrive(readyBase + stage * 8);
            }
            if (++stage == p.stages) {
                stage = 0;
                phase ^= 1;
            }
        }
    }
}

template <int N, int Count, Element E, class T>
__global__ void __launch_bounds__(threads, 1)
    scoreKernel(const __grid_constant__ Arguments p, bool absoluteB) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL // code for other processors never runs
    extern __shared__ std::uint8_t memory[];
    __shared__ std::uint64_t barriers[3][16];
    const std::uint32_t stagesBase = (sharedAddress(memory) + 1023u) & ~1023u;
    const std::uint32_t fullBase = sharedAddress(barriers[0]);
    const std::uint32_t readyBase = sharedAddress(barriers[1]);
    const std::uint32_t emptyBase = sharedAddress(barriers[2]);

    // Rows that no copy writes stay zero: they only feed rows and columns that are not stored, but
    // must not hold NaN.
    for (std::uint32_t at = threadIdx.x * 16; at < p.stages * stageBytes(N); at += threads * 16) {
        asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(stagesBase + at), "r"(0)
                     : "memory");
    }
    if (threadIdx.x == 0) {
        for (int s = 0; s < p.stages; ++s) {
            barrierInit(fullBase + s * 8, 1);
            barrierInit(readyBase + s * 8, absWarps);
            barrierInit(emptyBase + s * 8, consumerWarps);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    fenceAsync();
    __syncthreads();

    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x < 32) {
            if (threadIdx.x == 0) {
                produce<N>(p, stagesBase, fullBase, emptyBase);
            }
        } else {
            absolute<N>(p, absoluteB, stagesBase, fullBase, readyBase);
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume<N, Count, E, T>(p, stagesBase, fullBase, readyBase, emptyBase);
    }
#endif
}

template <int N, int Count, Element E, class T>
void launch(const Sm90Launch& l, cudaStream_t stream) {
    constexpr int limit = 227 * 1024 - 512 - 1024; // barriers, alignment
    const int stages = std::min<int>(limit / stageBytes(N), 16);
    const int bytes = stages * static_cast<int>(stageBytes(N)) + 1024;
    const auto kernel = scoreKernel<N, Count, E, T>;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "shared memory of the score kernel");
    const Arguments p{l.maps,     l.entries,   l.items, l.weights,  l.scales,
                      l.partials, l.itemCount, stages,  l.samplesA, l.samplesB};
    kernel<<<std::min(l.itemCount, l.multiprocessors), threads, bytes, stream>>>(p, l.absoluteB);
    check(cudaGetLastError(), "score kernel");
}

template <int N, Element E>
void launchType(const Sm90Launch& l, cudaStream_t stream) {
    if (l.bfloat) {
        l.fast ? launch<N, 1, E, __nv_bfloat16>(l, stream)
               : launch<N, 3, E, __nv_bfloat16>(l, stream);
    } else {
        l.fast ? launch<N, 1, E, __half>(l, stream) : launch<N, 2, E, __half>(l, stream);
    }
}

template <int N>
void launchElement(const Sm90Launch& l, cudaStream_t stream) {
    switch (l.element) {
    case Element::square:
        return launchType<N, Element::square>(l, stream);
    case Element::identity:
        return launchType<N, Element::identity>(l, stream);
    case Element::absolute:
        return launchType<N, Element::absolute>(l, stream);
    case Element::squareRoot:
        break;
    }
    throw Error("the CUDA kernel for 16-bit gradients has no such transform");
}

} // namespace

int sm90Width(int n) {
    return n <= 64 ? 64 : n <= 104 ? 104 : 128;
}

void launchSm90(const Sm90Launch& l, cudaStream_t stream) {
    switch (l.width) {
    case 64:
        return launchElement<64>(l, stream);
    case 104:
        return launchElement<104>(l, stream);
    case 128:
        return launchElement<128>(l, stream);
    default:
        throw Error("no CUDA kernel of width " + std::to_string(l.width));
    }
}

} // namespace qkov::engine::cuda
