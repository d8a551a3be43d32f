// SPDX-License-Identifier: GPL-3.0-or-later
// Reductions over a score tensor. Each distinct kv slice counts once.
#pragma once

#include "base/Job.h"
#include "engine/Scores.h"

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace qkov::results {

enum class Reduction : std::uint8_t { mean, max, median, percentile95 };
/// Of the pairs that are not NaN; NaN when there is none. Percentiles interpolate linearly.
double reducePairs(std::vector<float> pairs, Reduction reduction);
/// One value per cell, row-major [layers, heads]; NaN where missing.
std::vector<double> reduce(const engine::Scores& scores, Block block, Reduction reduction);

struct Conflict {
    Cell cell;                ///< model's own layer and head numbers
    std::size_t i = 0, j = 0; ///< indices into samplesA / samplesB
    float score = 0;
};
/// Best first: highest score, or lowest for `signed` and `cosine`; ties by (layer, head, i, j).
/// Pairs are read cell by cell; memory is that of one cell and the result.
/// @param blocks subset to search; `cell` narrows to one cell
/// @throws Cancelled, InputError when scores lie in a damaged file
std::vector<Conflict> topConflicts(const engine::Scores& scores, const std::vector<Block>& blocks,
                                   std::size_t count, std::optional<Cell> cell = {},
                                   Job* job = nullptr);
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
struct Rank {
    std::size_t rank = 0, of = 0;
};
Rank rankOf(const engine::Scores& scores, Block block, std::size_t layerRow,
            std::size_t headColumn);
/// True where low values mean conflict.
inline bool lowIsConflict(engine::Variant v) {
    return v == engine::Variant::signedProduct || v == engine::Variant::cosine;
}

/// `compute --json`. NaN is null.
nlohmann::json toJson(const engine::Scores& scores, std::size_t top);
/// How toJson's value is written: strings that are not UTF-8 (ids from strangers) are mended.
std::string jsonText(const nlohmann::json& value, int indent = -1);

// Exports are atomic, and quoted as RFC 4180 says; missing numbers are NaN.
// @throws InputError, Cancelled (with a job)
/// One row per cell and head: block,layer,head,kv_head,type,mean,max,median,p95,fisher_min,
/// fisher_median,fisher_max,fisher_share_below,fisher_lambda.
void exportCellsCsv(const engine::Scores& scores, const std::filesystem::path& file,
                    Job* job = nullptr);
/// One row per pair, each kv slice once: block,layer,head,sample_a,sample_b,score.
void exportPairsCsv(const engine::Scores& scores, const std::filesystem::path& file,
                    Job* job = nullptr);
void exportJson(const engine::Scores& scores, const std::filesystem::path& file, std::size_t top);
/// NumPy archive: layers, heads, samples_a, samples_b, config_json, and per block scores_Q
/// [nl, nh, nA, nB], layer_head_mean_Q [nl, nh], fisher_health_Q [nl, nh, 5].
void exportNpz(const engine::Scores& scores, const std::filesystem::path& file, Job* job = nullptr);

} // namespace qkov::results
