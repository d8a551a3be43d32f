// SPDX-License-Identifier: GPL-3.0-or-later
// Reductions over a score tensor. Each distinct kv slice counts once.
#pragma once

#include "engine/Scores.h"

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace qkov::results {

enum class Reduction : std::uint8_t { mean, max, median, percentile95 };
/// One value per cell, row-major [layers, heads]; NaN where missing.
std::vector<double> reduce(const engine::Scores& scores, Block block, Reduction reduction);

struct Conflict {
    Cell cell;               ///< model's own layer and head numbers
    std::size_t i = 0, j = 0; ///< indices into samplesA / samplesB
    float score = 0;
};
/// Best first: highest score, or lowest for `signed` and `cosine`; ties by (layer, head, i, j).
/// @param blocks subset to search; `cell` narrows to one cell
std::vector<Conflict> topConflicts(const engine::Scores& scores, const std::vector<Block>& blocks,
                                   std::size_t count, std::optional<Cell> cell = {});
std::vector<Conflict> topConflictsOfPairs(const engine::ScoreHeader& header, Cell cell,
                                          const std::vector<float>& pairs, std::size_t count);

struct Overview {
    std::optional<Block> mostConflicted; ///< nothing computed: empty
    std::array<double, 4> blockMean{};   ///< over distinct cells
    std::optional<Cell> peak;            ///< the cell behind maxInterference
    double maxInterference = 0;
    double peakRatio = 0; ///< peak over the median of its block's distinct cells
};
Overview overview(const engine::Scores& scores);
/// Rank of a cell among all distinct cells with data (1 = most conflicted), and their number.
struct Rank { std::size_t rank = 0, of = 0; };
Rank rankOf(const engine::Scores& scores, Block block, std::size_t layerRow, std::size_t headColumn);
/// True where low values mean conflict.
inline bool lowIsConflict(engine::Variant v) {
    return v == engine::Variant::signedProduct || v == engine::Variant::cosine;
}

/// `compute --json`. NaN is null.
nlohmann::json toJson(const engine::Scores& scores, std::size_t top);
/// CSV of cells: block,layer,head,kv_head,mean,max,median,p95,fisher_min,…; and of all pairs:
/// block,layer,head,sample_a,sample_b,score. Atomic. @throws InputError
void exportCellsCsv(const engine::Scores& scores, const std::filesystem::path& file);
void exportPairsCsv(const engine::Scores& scores, const std::filesystem::path& file);
void exportJson(const engine::Scores& scores, const std::filesystem::path& file, std::size_t top);

} // namespace qkov::results
