// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"
#include "dump/DumpReader.h"
#include "engine/GradientSource.h"
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
/// Progress runs to 1 but finish() is the caller's, who may have more to do.
std::shared_ptr<const Scores> compute(const dump::DumpReader& dump, const ScoreRequest& request,
                                      Job& job, const PartialSink& partial = {});
/// The same from any source of gradients.
std::shared_ptr<const Scores> compute(const GradientSource& source, const ScoreRequest& request,
                                      Job& job, const PartialSink& partial = {});

/// Several normalization modes in one pass over the data; results in the order of `modes`.
/// @pre request.variant is not profile, to which modes don't apply
std::vector<std::shared_ptr<const Scores>> computeModes(const GradientSource& source,
                                                        const ScoreRequest& request,
                                                        const std::vector<Mode>& modes, Job& job);

/// The modes that the source can serve for this request: all three, or structural alone.
std::vector<Mode> modesOf(const GradientSource& source, const ScoreRequest& request);

/// All ordered pairs of the selected samples of A, then of B, in the `profile` variant:
/// samplesA = samplesB = both tasks' samples, pairs [nh, N, N]. For the statistics.
std::shared_ptr<const Scores> computePooled(const GradientSource& source,
                                            const ScoreRequest& request, Job& job);

/// What a computation would read and need.
struct Explanation {
    std::string device;
    std::int64_t slices = 0;     ///< distinct head slices that are scored
    std::int64_t parameters = 0; ///< in them
    std::int64_t readBytes = 0;
    double flops = 0;           ///< of the products
    std::int64_t peakBytes = 0; ///< beyond what the program takes anyway
    std::int64_t tileBytes = 0, resultBytes = 0;
    std::int64_t groups = 0, repeatedGroups = 0; ///< the latter are read once per pass
    double seconds = 0; ///< predicted from a short measurement of this machine
    std::string text;   ///< the same as lines for people
};
Explanation explain(const GradientSource& source, const ScoreRequest& request,
                    const std::vector<Mode>& modes = {});

/// One pair, one head, the four blocks, with the numbers behind it.
struct PairBlock {
    double score = 0; ///< NaN when missing
    std::int64_t parameters = 0;
    double normI = 0, normJ = 0; ///< ‖g_i‖₂, ‖g_j‖₂ over S
    double cosine = 0;           ///< of g_i, g_j over S; NaN when signs are unknown
    double signAgreement = 0;    ///< share of parameters with g_i g_j > 0 among non-zero products
    double topShare = 0;         ///< share of the score carried by the top 1% of parameters
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
PairResult scorePair(const GradientSource& source, ScoreRequest request, const std::string& sampleI,
                     const std::string& sampleJ, LayerIndex layer, HeadIndex head, Job& job);

} // namespace qkov::engine
