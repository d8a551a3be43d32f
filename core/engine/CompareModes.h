// SPDX-License-Identifier: GPL-3.0-or-later
// The three normalization modes side by side.
#pragma once

#include "engine/Compute.h"
#include "engine/MapCompare.h"

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace qkov::engine {

/// How two modes' maps (cell means over pairs, each distinct cell once) differ.
struct ModeDifference {
    Mode first = Mode::behavioral, second = Mode::structural;
    double spearman = 0;                  ///< over all blocks' cells; NaN: too few
    std::array<double, 4> perBlock{};     ///< the same within a block
    std::size_t top = 0;                  ///< k of the overlap
    double topOverlap = 0;                ///< share of the k most conflicted cells in common
    std::vector<MapCell> movedMost;       ///< cells whose rank differs most, of `first`; ≤ 10
    std::vector<std::int64_t> rankChange; ///< of these: rank in second − rank in first
};

struct Comparison {
    std::vector<std::shared_ptr<const Scores>> scores; ///< one per mode, from one pass
    std::vector<ModeDifference> differences;           ///< every pair of modes
    /// Per mode: rank correlation of its map with mean_j ‖g_j‖₁.
    std::vector<double> pictureOfB;
    std::vector<std::string> warnings;
};

/// Above this correlation a map says next to nothing about task A.
inline constexpr double pictureOfBLimit = 0.99;

/// mean_j ‖g_j‖₁ over the selected samples of B, as a map of the same shape; scores of one row.
std::shared_ptr<const Scores> gradientSizes(const GradientSource& source,
                                            const ScoreRequest& request, Job& job);
/// Correlation of a map with gradientSizes' one. NaN: too few cells.
double correlationWithSizes(const Scores& scores, const Scores& sizes);

/// All modes that the dump can serve (behavioral and hybrid need head types).
/// @param top k of the overlap; 0: a tenth of the cells, at least 5
/// @throws UsageError for variant profile, to which modes don't apply; else as compute()
Comparison compareModes(const GradientSource& source, const ScoreRequest& request, std::size_t top,
                        Job& job);
Comparison compareModes(const dump::DumpReader& dump, const ScoreRequest& request, std::size_t top,
                        Job& job);

/// `compare --json`: per mode the map of means, then differences and warnings. NaN is null.
nlohmann::json toJson(const Comparison& comparison);

} // namespace qkov::engine
