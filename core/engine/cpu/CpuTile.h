// SPDX-License-Identifier: GPL-3.0-or-later
// What the CPU backend's files share: tiles in memory and their stretches. Internal to core/engine.
#pragma once

#include "base/DType.h"
#include "engine/Backend.h"
#include "engine/LargeMemory.h"
#include "engine/cpu/Kernels.h"

#include <algorithm>
#include <vector>

namespace qkov::engine {

inline std::int64_t roundUp(std::int64_t n, std::int64_t to = cpu::packAlign) {
    return (n + to - 1) / to * to;
}

struct AlignedFloats {
    LargeMemory::Pointer memory;
    float* data = nullptr;
    std::int64_t size = 0;
    float* reserve(std::int64_t n) {
        if (n > size) {
            data = nullptr;
            size = 0;
            memory.reset();
            memory = LargeMemory::allocate(static_cast<std::size_t>(n) * sizeof(float));
            data = reinterpret_cast<float*>(memory.get());
            size = n;
        }
        return data;
    }
};

struct CpuTile final : Tile {
    const char* values = nullptr;
    std::int64_t sampleBytes = 0, rowBytes = 0; ///< from one sample, one row to the next
    AlignedFloats rebuilt;                      ///< of factors
    std::int64_t width() const { return static_cast<std::int64_t>(dtypeSize(dtype)); }
    const char* at(std::int64_t sample, std::int64_t row, std::int64_t column) const {
        return values + sample * sampleBytes + row * rowBytes + column * width();
    }
    /// Whether the numbers of a part of it follow each other without a gap.
    bool together(const TilePart& part) const {
        return (part.columns == columns && rowBytes == columns * width()) || part.rows == 1;
    }
};

inline const CpuTile& cpuTile(const Tile* tile) {
    return static_cast<const CpuTile&>(*tile);
}

/// As the kernels number them.
inline int typeNumber(DType t) {
    switch (t) {
    case DType::f16:
        return 0;
    case DType::bf16:
        return 1;
    case DType::f32:
        return 2;
    case DType::f64:
        return 3;
    }
    return 3;
}
inline int changeNumber(Transform t) {
    return static_cast<int>(t);
}

/// Numbers [begin, end) of a part, counted row-major: calls run(row, column, runs, first) for
/// stretches that are alike; row and column of the tile, `first` their place in the part.
template <class F>
void forRuns(const CpuTile& tile, const TilePart& part, std::int64_t begin, std::int64_t end,
             F&& run) {
    if (tile.together(part)) {
        run(part.row + begin / part.columns, part.column + begin % part.columns,
            cpu::Runs{1, end - begin, 0}, begin);
        return;
    }
    while (begin < end) {
        const std::int64_t row = begin / part.columns;
        const std::int64_t column = begin % part.columns;
        const std::int64_t rows =
            column == 0 ? std::max<std::int64_t>(1, (end - begin) / part.columns) : 1;
        const std::int64_t length = std::min(part.columns - column, end - begin);
        run(part.row + row, part.column + column, cpu::Runs{rows, length, tile.rowBytes}, begin);
        begin += rows * length;
    }
}

/// Where numbers [begin, end) of a part lie in memory, of some samples.
inline void addFetches(const CpuTile& tile, const TilePart& part, std::int64_t begin,
                       std::int64_t end, std::span<const std::int32_t> samples,
                       std::vector<cpu::Fetch>& fetches) {
    constexpr std::int64_t line = cpu::cacheLine;
    forRuns(tile, part, begin, end,
            [&](std::int64_t row, std::int64_t column, const cpu::Runs& runs, std::int64_t) {
                for (const std::int32_t sample : samples) {
                    // Numbers of a file need not begin with a cache line.
                    const char* at = tile.at(sample, row, column);
                    const auto over =
                        static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(at) % line);
                    fetches.push_back({at - over,
                                       (over + runs.length * tile.width() + line - 1) / line,
                                       runs.count, runs.stride});
                }
            });
}

/// Bytes of a core's second-level cache.
std::int64_t secondLevelCache();

} // namespace qkov::engine
