// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"
#include "dump/DumpReader.h"
#include "engine/Scores.h"

#include <functional>
#include <memory>

namespace qkov::engine {

/// Called after each layer, from the computing thread, with all layers done so far.
using PartialSink = std::function<void(std::shared_ptr<const Scores>)>;

/// M^B_ij for all selected cells and pairs; formula and regularisation as ScoreRequest documents.
/// One matrix product per slice, tiled over parameters within request.memoryBudget.
/// @throws UsageError unknown task, id, layer, head; a mode or variant the build lacks
/// @throws InputError NaN/Inf (names dataset, sample, index), what the dump can't serve
/// @throws Cancelled within 200 ms of job's token
std::shared_ptr<const Scores> compute(const dump::DumpReader& dump, const ScoreRequest& request,
                                      Job& job, const PartialSink& partial = {});

/// One pair, one head, the four blocks, with the numbers behind it.
struct PairBlock {
    double score = 0;  ///< NaN when missing
    std::int64_t parameters = 0;
    double normI = 0, normJ = 0;      ///< ‖g_i‖₂, ‖g_j‖₂ over S
    double cosine = 0;                ///< of g_i, g_j over S; NaN when signs are unknown
    double signAgreement = 0;         ///< share of parameters with g_i g_j > 0 among non-zero products
    double topShare = 0;              ///< share of the score carried by the top 1% of parameters
    CellHealth fisher{};
};
struct PairResult {
    std::array<PairBlock, 4> blocks;
    std::array<bool, 4> present{};
    ScoreRequest request; ///< as resolved
    std::vector<std::string> notes;
};
/// request.samplesA/B are replaced by the two ids. Float64 throughout; equals compute's entry.
PairResult scorePair(const dump::DumpReader& dump, ScoreRequest request, const std::string& sampleI,
                     const std::string& sampleJ, LayerIndex layer, HeadIndex head, Job& job);

} // namespace qkov::engine
