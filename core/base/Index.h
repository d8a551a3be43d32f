// SPDX-License-Identifier: GPL-3.0-or-later
// Names for the places on the map. A layer number can't be passed where a head is meant.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace qkov {

template <class Tag>
struct Index {
    std::int64_t value = 0;
    constexpr Index() = default;
    constexpr explicit Index(std::int64_t v)
        : value(v) {}
    friend constexpr auto operator<=>(Index, Index) = default;
};

/// The model's own layer number (0-based).
using LayerIndex = Index<struct LayerTag>;
/// The model's own query-head number within its layer (0-based).
using HeadIndex = Index<struct HeadTag>;

/// The four projections of an attention layer.
enum class Block : std::uint8_t { Q, K, V, O };
inline constexpr std::array<Block, 4> allBlocks{Block::Q, Block::K, Block::V, Block::O};
constexpr std::size_t blockIndex(Block b) { return static_cast<std::size_t>(b); }
constexpr char blockName(Block b) { return "QKVO"[blockIndex(b)]; }

/// One cell of the four maps.
struct Cell {
    Block block = Block::Q;
    LayerIndex layer;
    HeadIndex head;
    friend constexpr auto operator<=>(const Cell&, const Cell&) = default;
};

} // namespace qkov
