// SPDX-License-Identifier: GPL-3.0-or-later
// The Hopper kernel's interface: scores of slices on tensor cores, for 16-bit gradients.
//
// For each parameter k of a slice and weight w_k:
//     A'[i, k] = element(a[i, k]) · w_k    in float32, split into 16-bit terms for the tensor cores
//     B'[j, k] = |b[j, k]| or b[j, k]      exact in its own 16-bit type
// Work is split over the parameter axis into items; each writes a float32 partial sum, and a second
// kernel adds them in a fixed order: the result is the same in every run.
#pragma once

#include "engine/cuda/DeviceTypes.h"

#include <cstdint>
#include <cuda.h>
#include <cuda_runtime_api.h>

namespace qkov::engine::cuda {

/// Samples of A in one block.
inline constexpr int sm90BlockA = 128;
/// Samples of B in one block, at most.
inline constexpr int sm90BlockB = 128;

/// One slice, for one block of A samples and one of B samples.
struct Sm90Entry {
    int mapA, mapB;       ///< indices into the tensor maps
    int column, row;      ///< the slice's origin in the maps' coordinates
    int tilesPerRow;      ///< ceil(slice columns / tileWidth)
    int tiles;            ///< in tile order of the slice: by row, then column
    int chunks;           ///< the tiles are split into so many items
    int sampleA, sampleB; ///< first samples of the blocks
    int pad;
    std::int64_t scales;  ///< offset of the A samples' scales (bfloat16 only), or -1
    std::int64_t weights; ///< offset of the slice's weights, in floats
    std::int64_t partial; ///< offset of the partial sums [chunks, sm90BlockA, width], in floats
};

struct Sm90Item {
    int entry, chunk;
};

struct Sm90Launch {
    const CUtensorMap* maps = nullptr; ///< on the device, like all that follows
    const Sm90Entry* entries = nullptr;
    const Sm90Item* items = nullptr;
    int itemCount = 0;
    const float* weights = nullptr; ///< [slice tiles][tileWidth], 0 past a slice's columns
    const float* scales = nullptr;  ///< factors of samples of A before the element function
    float* partials = nullptr;
    int samplesA = 0; ///< rows of a box of A, ≤ sm90BlockA
    int samplesB = 0; ///< rows of a box of B, ≤ width
    int width = 0;    ///< columns of a partial, see sm90Width
    Element element = Element::square;
    bool absoluteB = true;
    bool bfloat = false; ///< bfloat16 instead of float16
    bool fast = false;   ///< one 16-bit term of A' instead of two (float16) or three (bfloat16)
    int multiprocessors = 0;
};

/// The narrowest width the kernel has for a block of n samples of B (n ≤ sm90BlockB).
int sm90Width(int n);
/// @throws Error when the launch fails
void launchSm90(const Sm90Launch& launch, cudaStream_t stream);

} // namespace qkov::engine::cuda
