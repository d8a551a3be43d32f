// SPDX-License-Identifier: GPL-3.0-or-later
// Small types shared by host code and kernels of the CUDA engine.
#pragma once

#include <cstdint>

namespace qkov::engine::cuda {

/// What becomes of a stored number: engine::Transform, without that header's other contents.
enum class Element : std::uint8_t { identity, absolute, square, squareRoot };

/// Parameters of one tile: columns of one row of a slice.
inline constexpr int tileWidth = 64;

/// Weights of a slice lie as [rows][columns rounded up to tileWidth], zeros past a row's end.
constexpr std::int64_t weightCount(std::int64_t rows, std::int64_t columns) {
    return rows * ((columns + tileWidth - 1) / tileWidth) * tileWidth;
}

} // namespace qkov::engine::cuda
