// SPDX-License-Identifier: GPL-3.0-or-later
// The copy engine's side of SplitProduct.cu: tiles, the ring of stages they come through, and how
// results leave. Private to it.
#pragma once

#include "collect/cuda/Kernels.h"
#include "engine/cuda/Hopper.cuh"

#include <cstdint>
#include <cuda.h>

namespace qkov::collect::cuda {
namespace {

using engine::cuda::barrierArrive;
using engine::cuda::barrierExpect;
using engine::cuda::barrierWait;

constexpr int threads = 384;
constexpr int tileRows = 128;
constexpr int tileColumns = 192;
constexpr int tileDepth = 64;
constexpr int promotion = 2;
constexpr int consumerWarps = 8;
constexpr int stages = 3;
constexpr int groupRows = 16; ///< tiles of rows that run side by side, for the sake of the cache
constexpr std::uint32_t bytesX = tileRows * tileDepth * 4;
constexpr std::uint32_t bytesW = tileColumns * tileDepth * 2;
constexpr std::uint32_t bytesHalfX = bytesX / 2;           ///< 32 numbers of depth
constexpr std::uint32_t bytesAcrossW = 64 * tileDepth * 2; ///< 64 columns
constexpr std::uint32_t stageBytes = bytesX + bytesW;
constexpr std::uint32_t bytesOut = 64 * tileColumns * 4; ///< of one group
constexpr std::uint32_t bytesOutColumns = 64 * 32 * 4;   ///< 32 columns of them
constexpr int sharedBytes = static_cast<int>(stages * stageBytes + bytesOut) + 1024;

struct Arguments {
    const float* scale;
    const float* back;
    const float* bias;
    int rows, columns;
    int rowTiles, columnTiles;
    int steps; ///< along the depth, of one weight matrix
    int parts;
    bool low; ///< a second weight matrix, which comes first
    float factor;
};

struct Tile {
    int row, column, part;
    int first, last; ///< steps
};

__device__ __forceinline__ Tile tileAt(const Arguments& p, int index) {
    Tile t;
    const int tiles = p.rowTiles * p.columnTiles;
    t.part = index / tiles;
    index -= t.part * tiles;
    const int perGroup = groupRows * p.columnTiles;
    const int group = index / perGroup;
    const int inGroup = index - group * perGroup;
    const int rows = min(groupRows, p.rowTiles - group * groupRows);
    t.column = inGroup / rows;
    t.row = group * groupRows + inGroup - t.column * rows;
    t.first = static_cast<int>(static_cast<long long>(p.steps) * t.part / p.parts);
    t.last = static_cast<int>(static_cast<long long>(p.steps) * (t.part + 1) / p.parts);
    return t;
}

__device__ __forceinline__ void copyBox(std::uint32_t target, const CUtensorMap* map, int x, int y,
                                        std::uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(target),
                 "l"(map), "r"(barrier), "r"(x), "r"(y)
                 : "memory");
}

/// 32 columns of a group's results; what lies outside is left out.
__device__ __forceinline__ void storeBox(const CUtensorMap* map, std::uint32_t source, int x, int y,
                                         int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(
            map),
        "r"(source), "r"(x), "r"(y), "r"(z)
        : "memory");
}

struct Ring {
    std::uint32_t stagesBase, fullBase, emptyBase;
    // A group's results lie at outBase: complete, and free again for the one or the other group.
    std::uint32_t outBase, outFull, outFree;
};

template <int across>
__device__ void produce(const Arguments& p, const CUtensorMap* mapX, const CUtensorMap* mapHigh,
                        const CUtensorMap* mapLow, const Ring& ring) {
    int stage = 0;
    std::uint32_t phase = 1; // the ring starts empty
    const int total = p.rowTiles * p.columnTiles * p.parts;
    for (int index = blockIdx.x; index < total; index += gridDim.x) {
        const Tile tile = tileAt(p, index);
        for (int pass = p.low ? 0 : 1; pass < 2; ++pass) {
            const CUtensorMap* mapW = pass == 0 ? mapLow : mapHigh;
            for (int step = tile.first; step < tile.last; ++step) {
                const std::uint32_t base = ring.stagesBase + stage * stageBytes;
                const std::uint32_t full = ring.fullBase + stage * 8;
                barrierWait(ring.emptyBase + stage * 8, phase);
                barrierExpect(full, stageBytes);
                const int depth = step * tileDepth;
                copyBox(base, mapX, depth, tile.row * tileRows, full);
                copyBox(base + bytesHalfX, mapX, depth + 32, tile.row * tileRows, full);
                const int column = tile.column * tileColumns;
                if constexpr (across) {
#pragma unroll
                    for (int c = 0; c < tileColumns / 64; ++c) {
                        copyBox(base + bytesX + c * bytesAcrossW, mapW, column + 64 * c, depth,
                                full);
                    }
                } else {
                    copyBox(base + bytesX, mapW, depth, column, full);
                }
                if (++stage == stages) {
                    stage = 0;
                    phase ^= 1;
                }
            }
        }
    }
}

__device__ void takeAway(const Arguments& p, const CUtensorMap* mapOut, const Ring& ring) {
    std::uint32_t phase = 0;
    const int total = p.rowTiles * p.columnTiles * p.parts;
    for (int index = blockIdx.x; index < total; index += gridDim.x) {
        const Tile tile = tileAt(p, index);
        for (int group = 0; group < 2; ++group) {
            barrierWait(ring.outFull, phase);
            phase ^= 1;
            for (int c = 0; c < tileColumns / 32; ++c) {
                const int column = tile.column * tileColumns + 32 * c;
                if (column < p.columns) {
                    storeBox(mapOut, ring.outBase + c * bytesOutColumns, column,
                             tile.row * tileRows + 64 * group, tile.part);
                }
            }
            asm volatile("cp.async.bulk.commit_group;\n"
                         "cp.async.bulk.wait_group.read 0;" ::
                             : "memory");
            barrierArrive(ring.outFree + (1 - group) * 8);
        }
    }
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

} // namespace
} // namespace qkov::collect::cuda
