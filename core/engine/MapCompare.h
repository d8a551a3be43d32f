// SPDX-License-Identifier: GPL-3.0-or-later
// Comparing layer × head maps.
#pragma once

#include "engine/Scores.h"

#include <vector>

namespace qkov::engine {

/// Spearman's rank correlation; ties share their mean rank. Pairs with a NaN are left out. NaN when
/// fewer than three pairs are left or one side is constant.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

/// A distinct cell with data.
struct MapCell {
    Block block = Block::Q;
    std::size_t layerRow = 0, headColumn = 0;
    double mean = 0;
};
/// Every distinct cell that has data, by block, layer, head.
std::vector<MapCell> distinctCells(const Scores& scores);

/// True where low values mean conflict.
inline bool lowMeansConflict(Variant v) {
    return v == Variant::signedProduct || v == Variant::cosine;
}

} // namespace qkov::engine
