// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel for every other device, type and alignment (sm_80 and later): converts to float32 in
// shared memory and multiplies in three tf32 products (hi·lo + lo·hi + hi·hi, 22 bits each side),
// or one for `fast`.
#pragma once

#include "base/DType.h"
#include "engine/cuda/DeviceTypes.h"

#include <cstdint>
#include <cuda_runtime_api.h>

namespace qkov::engine::cuda {

inline constexpr int generalBlock = 128; ///< samples of A and of B in one item

struct GeneralItem {
    const void* a; ///< element (0, first row, first column) of the slice in the first sample
    const void* b;
    std::int64_t sampleStrideA, rowStrideA, sampleStrideB, rowStrideB; ///< elements
    std::int64_t columns;
    std::int64_t listA, listB;     ///< offsets of the samples' numbers in `samples`
    std::int64_t scalesA, scalesB; ///< offsets of the samples' scales, or -1
    int samplesA, samplesB;        ///< in this item, ≤ generalBlock
    int tilesPerRow;               ///< of tileWidth parameters
    int firstTile, tiles;
    std::int64_t weights; ///< offset of firstTile's weights
    std::int64_t partial; ///< offset of [generalBlock, generalBlock] sums
};

struct GeneralLaunch {
    const GeneralItem* items = nullptr; ///< on the device
    int itemCount = 0;
    const float* weights = nullptr;
    const std::int32_t* samples = nullptr;
    const double* scales = nullptr;
    float* partials = nullptr;
    Element elementA = Element::square;
    Element elementB = Element::absolute;
    DType type = DType::f32; ///< of both
    bool fast = false;
};

void launchGeneral(const GeneralLaunch& launch, cudaStream_t stream);

/// Adds partial sums of a slice in a fixed order, in float64.
struct ReduceItem {
    std::int64_t partial;            ///< first partial of block (0, 0)
    std::int64_t score;              ///< offset of [nA, nB]
    std::int64_t factorsA, factorsB; ///< offsets of the samples' factors, or -1
    int chunks;                      ///< partials per block, consecutive
};

struct ReduceLaunch {
    const ReduceItem* items = nullptr; ///< on the device
    int itemCount = 0;
    const float* partials = nullptr;
    const double* factors = nullptr;
    double* scores = nullptr;
    int samplesA = 0, samplesB = 0;      ///< in all
    int blockRows = 0, blockColumns = 0; ///< samples of A and B per block
    int pitchRows = 0, pitchColumns = 0; ///< stored size of one partial
};

void launchReduce(const ReduceLaunch& launch, cudaStream_t stream);

} // namespace qkov::engine::cuda
