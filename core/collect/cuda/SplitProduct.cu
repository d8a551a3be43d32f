// SPDX-License-Identifier: GPL-3.0-or-later
// A product of float32 rows with float16 weights on Hopper's tensor cores.
//
// One block: a warp that has the copy engine bring rows and weights through a ring of shared-memory
// stages, 64 numbers of depth each; two groups of four warps, 64 rows each, that split their rows'
// numbers into float16 high + low in registers while the other group's products run; and a warp
// that has the copy engine take results away, one group's after the other's, while the next tile
// runs.
//
// Accuracy: high + low are 22 bits or more of a row's largest number. Tensor cores truncate when
// they add to their accumulator; so it is emptied into a rounded float32 sum every `promotion`
// stages.
#include "collect/cuda/Kernels.h"
#include "collect/cuda/SplitCopies.cuh"
#include "collect/cuda/Wgmma192.cuh"
#include "engine/cuda/CudaError.h"
#include "engine/cuda/Hopper.cuh"
#include "engine/cuda/TensorMap.h"

#include <algorithm>
#include <cuda_fp16.h>

namespace qkov::collect::cuda {
namespace {

using engine::cuda::barrierInit;
using engine::cuda::check;
using engine::cuda::fenceAsync;
using engine::cuda::loadShared2;
using engine::cuda::prefetchMap;
using engine::cuda::sharedAddress;
using engine::cuda::tensorMap;
using engine::cuda::wgmmaCommit;
using engine::cuda::wgmmaFence;
using engine::cuda::wgmmaWaitAll;

__device__ __forceinline__ void storeShared2(std::uint32_t address, float x, float y) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(x), "f"(y) : "memory");
}

/// Of a [depth 64, columns 192] tile with 128-byte swizzle.
template <int across>
__device__ __forceinline__ std::uint64_t tileDescriptor(std::uint32_t address) {
    const std::uint64_t leading = across ? bytesAcrossW >> 4 : 1;
    return (std::uint64_t(1) << 62) | (std::uint64_t(1024 >> 4) << 32) | (leading << 16) |
           ((address & 0x3FFFF) >> 4);
}
/// Between products: 16 numbers of depth, in units of 16 bytes.
template <int across>
constexpr std::uint64_t descriptorStep = across ? 16 * 128 / 16 : 16 * 2 / 16;

/// 16 numbers of depth of a thread's two rows, as the products want them.
struct Operand {
    std::uint32_t high[4], low[4];
};

/// @param base of 32 numbers of depth of the thread's first row
/// @param swizzle row mod 8
template <int half>
__device__ __forceinline__ void splitOperand(Operand& o, std::uint32_t base, std::uint32_t swizzle,
                                             int lane, float scale0, float scale1) {
#pragma unroll
    for (int q = 0; q < 4; ++q) {
        // Registers: row, row + 8, then the same 8 numbers further.
        const std::uint32_t chunk = half * 4 + (q / 2) * 2 + (lane % 4) / 2;
        const std::uint32_t address =
            base + (q % 2) * 8 * 128 + ((chunk ^ swizzle) << 4) + (lane % 2) * 8;
        float2 v = loadShared2(address);
        const float scale = q % 2 == 0 ? scale0 : scale1;
        v.x *= scale;
        v.y *= scale;
        const __half2 high = __floats2half2_rn(v.x, v.y);
        const float2 h = __half22float2(high);
        const __half2 low = __floats2half2_rn(v.x - h.x, v.y - h.y);
        o.high[q] = *reinterpret_cast<const std::uint32_t*>(&high);
        o.low[q] = *reinterpret_cast<const std::uint32_t*>(&low);
    }
}

/// Starts the products of 32 numbers of depth.
template <int across, bool both>
__device__ __forceinline__ void multiply(float (&acc)[96], const Operand (&o)[2], std::uint64_t w,
                                         bool add) {
    wgmmaFence();
    wgmma192<across>(acc, o[0].high, w, add);
    if constexpr (both) {
        wgmma192<across>(acc, o[0].low, w, true);
    }
    wgmma192<across>(acc, o[1].high, w + descriptorStep<across>, true);
    if constexpr (both) {
        wgmma192<across>(acc, o[1].low, w + descriptorStep<across>, true);
    }
    wgmmaCommit();
}

template <int across>
__device__ void consume(const Arguments& p, const Ring& ring) {
    const int warp = static_cast<int>(threadIdx.x) / 32 - 4; // of the consumers
    const int lane = static_cast<int>(threadIdx.x) % 32;
    // The order of rows within eight is free: this one keeps the lanes that read together in
    // different banks.
    const int eighth = lane / 4;
    const int rowInWarp = (2 * eighth) % 8 + eighth / 4;
    const int rowInTile = warp * 16 + rowInWarp; // and the row 8 below
    const std::uint32_t rowOffset = rowInTile * 128;
    const std::uint32_t swizzle = rowInTile & 7;

    const int group = warp / 4;

    int stage = 0;
    std::uint32_t phase = 0, phaseOut = 0;
    const int total = p.rowTiles * p.columnTiles * p.parts;
    for (int index = blockIdx.x; index < total; index += gridDim.x) {
        const Tile tile = tileAt(p, index);
        const int row = tile.row * tileRows + rowInTile;
        const bool inside0 = row < p.rows, inside1 = row + 8 < p.rows;
        const float scale0 = inside0 ? p.scale[row] : 0;
        const float scale1 = inside1 ? p.scale[row + 8] : 0;
        float acc[96];
        float sum[96];
#pragma unroll
        for (int i = 0; i < 96; ++i) {
            acc[i] = 0;
            sum[i] = 0;
        }
        const int steps = tile.last - tile.first;
        const int lowSteps = p.low ? steps : 0;
        const int all = steps + lowSteps;
        bool add = false;
        for (int step = 0; step < all; ++step) {
            const std::uint32_t base = ring.stagesBase + stage * stageBytes;
            barrierWait(ring.fullBase + stage * 8, phase);
            const std::uint64_t descriptor = tileDescriptor<across>(base + bytesX);
            const bool both = step >= lowSteps;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                Operand o[2];
                const std::uint32_t from = base + half * bytesHalfX + rowOffset;
                splitOperand<0>(o[0], from, swizzle, lane, scale0, scale1);
                splitOperand<1>(o[1], from, swizzle, lane, scale0, scale1);
                const std::uint64_t w = descriptor + half * 2 * descriptorStep<across>;
                holdAccumulators(acc);
                both ? multiply<across, true>(acc, o, w, add)
                     : multiply<across, false>(acc, o, w, add);
                add = true;
                wgmmaWaitAll();
                holdAccumulators(acc);
            }
            if (lane == 0) {
                barrierArrive(ring.emptyBase + stage * 8);
            }
            if (++stage == stages) {
                stage = 0;
                phase ^= 1;
            }
            if (step % promotion == promotion - 1 || step == all - 1) {
#pragma unroll
                for (int i = 0; i < 96; ++i) {
                    sum[i] += acc[i];
                }
                add = false;
            }
        }
        // A thread's accumulators: its two rows, columns 8 c + 2 (lane % 4) + {0, 1}.
        const bool whole = p.parts == 1;
        const float back0 = !whole ? 1 : inside0 ? p.back[row] * p.factor : 0;
        const float back1 = !whole ? 1 : inside1 ? p.back[row + 8] * p.factor : 0;
        const int column = tile.column * tileColumns + 2 * (lane % 4);
#pragma unroll
        for (int c = 0; c < 24; ++c) {
            const int n = column + 8 * c;
            float2 bias = make_float2(0, 0);
            if (p.bias != nullptr && whole) {
                bias.x = n < p.columns ? __ldg(p.bias + n) : 0;
                bias.y = n + 1 < p.columns ? __ldg(p.bias + n + 1) : 0;
            }
            sum[4 * c] = fmaf(sum[4 * c], back0, bias.x);
            sum[4 * c + 1] = fmaf(sum[4 * c + 1], back0, bias.y);
            sum[4 * c + 2] = fmaf(sum[4 * c + 2], back1, bias.x);
            sum[4 * c + 3] = fmaf(sum[4 * c + 3], back1, bias.y);
        }
        barrierWait(ring.outFree + group * 8, group == 0 ? phaseOut ^ 1 : phaseOut);
        phaseOut ^= 1;
        const std::uint32_t out = ring.outBase + (rowInTile - 64 * group) * 128 + (lane % 2) * 8;
#pragma unroll
        for (int c = 0; c < 24; ++c) {
            const std::uint32_t chunk = (c % 4) * 2 + (lane % 4) / 2;
            const std::uint32_t at = out + (c / 4) * bytesOutColumns + ((chunk ^ swizzle) << 4);
            storeShared2(at, sum[4 * c], sum[4 * c + 1]);
            storeShared2(at + 8 * 128, sum[4 * c + 2], sum[4 * c + 3]);
        }
        fenceAsync();
        __syncwarp();
        if (lane == 0) {
            barrierArrive(ring.outFull);
        }
    }
}

template <int across>
__global__ void __launch_bounds__(threads, 1)
    splitProductKernel(const __grid_constant__ CUtensorMap mapX,
                       const __grid_constant__ CUtensorMap mapHigh,
                       const __grid_constant__ CUtensorMap mapLow,
                       const __grid_constant__ CUtensorMap mapOut,
                       const __grid_constant__ Arguments p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL // code for other processors never runs
    extern __shared__ std::uint8_t memory[];
    __shared__ std::uint64_t barriers[2][stages], outBarriers[3];
    const std::uint32_t base = (sharedAddress(memory) + 1023u) & ~1023u;
    const Ring ring{base,
                    sharedAddress(barriers[0]),
                    sharedAddress(barriers[1]),
                    base + stages * stageBytes,
                    sharedAddress(outBarriers),
                    sharedAddress(outBarriers + 1)};
    if (threadIdx.x == 0) {
        prefetchMap(&mapX);
        prefetchMap(&mapHigh);
        for (int s = 0; s < stages; ++s) {
            barrierInit(ring.fullBase + s * 8, 1);
            barrierInit(ring.emptyBase + s * 8, consumerWarps);
        }
        barrierInit(ring.outFull, consumerWarps / 2);
        barrierInit(ring.outFree, 1);
        barrierInit(ring.outFree + 8, 1);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    fenceAsync();
    __syncthreads();
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            produce<across>(p, &mapX, &mapHigh, &mapLow, ring);
        } else if (threadIdx.x == 32) {
            takeAway(p, &mapOut, ring);
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume<across>(p, ring);
    }
#endif
}

__global__ void addParts(const float* parts, int count, std::int64_t partStride, const float* back,
                         float factor, const float* bias, float* out, std::int64_t outStride,
                         int columns) {
    const std::int64_t row = blockIdx.x;
    const float b = back[row] * factor;
    for (int n = static_cast<int>(threadIdx.x); n < columns; n += static_cast<int>(blockDim.x)) {
        const float* from = parts + row * outStride + n;
        float sum = 0;
        for (int i = 0; i < count; ++i) {
            sum += from[i * partStride];
        }
        out[row * outStride + n] = fmaf(sum, b, bias != nullptr ? bias[n] : 0.0f);
    }
}

/// Over [outer, inner] numbers, rows `stride` bytes apart, read in boxes.
CUtensorMap matrixMap(CUtensorMapDataType type, const void* data, std::int64_t inner,
                      std::int64_t outer, std::int64_t stride, int boxInner, int boxOuter) {
    return tensorMap<2>({"a matrix", type, data, {inner, outer}, {stride}, {boxInner, boxOuter}});
}

/// Over the results, [parts, rows, columns], written 64 rows and 32 columns at a time.
CUtensorMap outMap(const SplitProduct& p, float* out, int parts) {
    return tensorMap<3>({"results",
                         CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                         out,
                         {p.columns, p.rows, parts},
                         {p.outStride * 4, p.rows * p.outStride * 4},
                         {32, 64, 1},
                         CU_TENSOR_MAP_L2_PROMOTION_NONE});
}

int ceilDiv(std::int64_t a, std::int64_t b) {
    return static_cast<int>((a + b - 1) / b);
}

int multiprocessors(int device) {
    int count = 0;
    check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
          "number of multiprocessors");
    return count;
}

/// How many parts the depth is cut into, so that the blocks of the last round are not alone.
int partsOf(const SplitProduct& p, int device) {
    constexpr int most = 8;
    constexpr int fewestSteps = 32; // of a part
    const int tiles = ceilDiv(p.rows, tileRows) * ceilDiv(p.columns, tileColumns);
    const int steps = ceilDiv(p.depth, tileDepth);
    const int blocks = multiprocessors(device);
    int best = 1;
    double bestTime = 1e30;
    for (int parts = 1; parts <= most && (parts == 1 || steps / parts >= fewestSteps); ++parts) {
        // A part costs about one step more, for its sums.
        const double time =
            ceilDiv(std::int64_t(tiles) * parts, blocks) * (double(steps) / parts + 1);
        if (time < 0.97 * bestTime) {
            best = parts;
            bestTime = time;
        }
    }
    return best;
}

std::int64_t partStride(const SplitProduct& p) {
    return p.rows * p.outStride;
}

template <int across>
void launch(const CUtensorMap& x, const CUtensorMap& high, const CUtensorMap& low,
            const CUtensorMap& out, const Arguments& arguments, int blocks, cudaStream_t stream) {
    const auto kernel = splitProductKernel<across>;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sharedBytes),
          "shared memory of the product kernel");
    kernel<<<blocks, threads, sharedBytes, stream>>>(x, high, low, out, arguments);
    check(cudaGetLastError(), "product kernel");
}

} // namespace

bool usable(int device) {
    int major = 0;
    return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           major == 9;
}

bool fits(const SplitProduct& p) {
    const auto aligned = [](const void* at) {
        return reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
    };
    constexpr std::int64_t most = std::int64_t(1) << 30;
    const bool across = p.wColumnStride == 1;
    const std::int64_t wStride = across ? p.wDepthStride : p.wColumnStride;
    return p.rows > 0 && p.depth > 0 && p.columns > 0 && p.rows < most && p.depth < most &&
           p.columns < most && aligned(p.x) && p.xStride % 4 == 0 && aligned(p.high) &&
           aligned(p.low) && (across || p.wDepthStride == 1) && wStride % 8 == 0 &&
           p.outStride % 4 == 0 && aligned(p.out);
}

std::int64_t workspaceNumbers(const SplitProduct& p, int device) {
    const int parts = partsOf(p, device);
    return parts == 1 ? 0 : parts * partStride(p);
}

void splitProduct(const SplitProduct& p, const Queue& queue) {
    check(cudaSetDevice(queue.device), "choice of the device");
    const auto stream = static_cast<cudaStream_t>(queue.stream);
    const bool across = p.wColumnStride == 1;
    const CUtensorMap x = matrixMap(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, p.x, p.depth, p.rows,
                                    p.xStride * 4, 32, tileRows);
    const auto weights = [&](const void* data) {
        return across ? matrixMap(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, data, p.columns, p.depth,
                                  p.wDepthStride * 2, 64, tileDepth)
                      : matrixMap(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, data, p.depth, p.columns,
                                  p.wColumnStride * 2, tileDepth, tileColumns);
    };
    const CUtensorMap high = weights(p.high);
    const CUtensorMap low = p.low != nullptr ? weights(p.low) : high;
    Arguments a{};
    a.scale = p.scale;
    a.back = p.back;
    a.bias = p.bias;
    a.parts = partsOf(p, queue.device);
    a.rows = static_cast<int>(p.rows);
    a.columns = static_cast<int>(p.columns);
    a.rowTiles = ceilDiv(p.rows, tileRows);
    a.columnTiles = ceilDiv(p.columns, tileColumns);
    a.steps = ceilDiv(p.depth, tileDepth);
    a.low = p.low != nullptr;
    a.factor = p.factor;
    const int blocks =
        std::min(multiprocessors(queue.device), a.rowTiles * a.columnTiles * a.parts);
    const CUtensorMap out = outMap(p, a.parts == 1 ? p.out : p.workspace, a.parts);
    across ? launch<1>(x, high, low, out, a, blocks, stream)
           : launch<0>(x, high, low, out, a, blocks, stream);
    if (a.parts > 1) {
        addParts<<<static_cast<unsigned>(a.rows), 256, 0, stream>>>(
            p.workspace, a.parts, partStride(p), p.back, p.factor, p.bias, p.out, p.outStride,
            a.columns);
        check(cudaGetLastError(), "sum of the product's parts");
    }
}

} // namespace qkov::collect::cuda
