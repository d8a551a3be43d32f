// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/CompareModes.h"

#include "base/Numbers.h"
#include "engine/AlteredSource.h"
#include "engine/SubJob.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace qkov::engine {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// Means of `cells` in another map of the same shape.
std::vector<double> meansOf(const Scores& scores, const std::vector<MapCell>& cells) {
    std::vector<double> out;
    for (const MapCell& c : cells) {
        out.push_back(scores.mean(c.block, c.layerRow, c.headColumn));
    }
    return out;
}

/// Positions of `values`, most conflicted first.
std::vector<std::size_t> order(const std::vector<double>& values, bool lowFirst) {
    std::vector<std::size_t> out(values.size());
    std::iota(out.begin(), out.end(), std::size_t(0));
    std::stable_sort(out.begin(), out.end(), [&](std::size_t a, std::size_t b) {
        return lowFirst ? values[a] < values[b] : values[a] > values[b];
    });
    return out;
}

ModeDifference difference(const Scores& first, const Scores& second, std::size_t top) {
    ModeDifference d;
    d.first = *first.header().request.mode;
    d.second = *second.header().request.mode;
    std::vector<MapCell> cells;
    for (const MapCell& c : distinctCells(first)) {
        if (!std::isnan(second.mean(c.block, c.layerRow, c.headColumn))) {
            cells.push_back(c);
        }
    }
    const std::vector<double> x = meansOf(first, cells);
    const std::vector<double> y = meansOf(second, cells);
    d.spearman = spearman(x, y);
    for (const Block block : allBlocks) {
        std::vector<double> bx, by;
        for (std::size_t k = 0; k < cells.size(); ++k) {
            if (cells[k].block == block) {
                bx.push_back(x[k]);
                by.push_back(y[k]);
            }
        }
        d.perBlock[blockIndex(block)] = spearman(bx, by);
    }
    const bool lowFirst = lowMeansConflict(first.header().request.variant);
    const auto ox = order(x, lowFirst);
    const auto oy = order(y, lowFirst);
    d.top = std::min(top > 0 ? top : std::max<std::size_t>(5, cells.size() / 10), cells.size());
    const auto k = static_cast<std::ptrdiff_t>(d.top);
    const std::set<std::size_t> a(ox.begin(), ox.begin() + k);
    const auto shared =
        std::count_if(oy.begin(), oy.begin() + k, [&](std::size_t c) { return a.contains(c); });
    d.topOverlap = d.top > 0 ? double(shared) / double(d.top) : none;

    std::vector<std::int64_t> change(cells.size());
    for (std::size_t r = 0; r < cells.size(); ++r) {
        change[ox[r]] -= static_cast<std::int64_t>(r);
        change[oy[r]] += static_cast<std::int64_t>(r);
    }
    std::vector<std::size_t> moved(cells.size());
    std::iota(moved.begin(), moved.end(), std::size_t(0));
    std::stable_sort(moved.begin(), moved.end(), [&](std::size_t p, std::size_t q) {
        return std::abs(change[p]) > std::abs(change[q]);
    });
    for (std::size_t r = 0; r < std::min<std::size_t>(10, moved.size()); ++r) {
        d.movedMost.push_back(cells[moved[r]]);
        d.rankChange.push_back(change[moved[r]]);
    }
    return d;
}

nlohmann::json number(double v) {
    return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(nullptr);
}

} // namespace

std::shared_ptr<const Scores> gradientSizes(const GradientSource& source,
                                            const ScoreRequest& request, Job& job) {
    // With C = 1 and D = 1 the magnitude score is ‖g_j‖₁.
    Alteration ones;
    ones.ones = request.taskA;
    if (request.taskA == request.taskB) {
        throw UsageError("the two tasks are the same");
    }
    const auto altered = alter(source, ones);
    ScoreRequest q = request;
    q.samplesA.clear();
    q.mode = Mode::structural;
    q.variant = Variant::magnitude;
    q.fisherTask = FisherTask::a;
    q.estimator = Estimator::mean;
    q.regularization = {1, 0, 0};
    q.gradScale = GradScale::none;
    return compute(*altered, q, job);
}

double correlationWithSizes(const Scores& scores, const Scores& sizes) {
    const auto cells = distinctCells(scores);
    return spearman(meansOf(scores, cells), meansOf(sizes, cells));
}

Comparison compareModes(const GradientSource& source, const ScoreRequest& request, std::size_t top,
                        Job& job) {
    if (request.variant == Variant::profile) {
        throw UsageError("the modes don't apply to the profile variant; compare another one");
    }
    Comparison c;
    std::vector<Mode> modes{Mode::behavioral, Mode::structural, Mode::hybrid};
    if (modesOf(source, request).size() == 1) {
        modes = {Mode::structural};
        c.warnings.push_back("Only structural can be scored: the dump has neither head types nor a "
                             "behavioral Fisher.");
    }
    job.stage("Comparing modes", 0, 1);
    Job scoring = subJob(job, 0, 0.85);
    c.scores = computeModes(source, request, modes, scoring);
    for (std::size_t a = 0; a < modes.size(); ++a) {
        for (std::size_t b = a + 1; b < modes.size(); ++b) {
            job.checkCancelled();
            c.differences.push_back(difference(*c.scores[a], *c.scores[b], top));
        }
    }
    if (request.taskA != request.taskB) {
        Job sizing = subJob(job, 0.85, 1);
        const auto sizes = gradientSizes(source, request, sizing);
        for (std::size_t m = 0; m < modes.size(); ++m) {
            c.pictureOfB.push_back(correlationWithSizes(*c.scores[m], *sizes));
            if (c.pictureOfB.back() > pictureOfBLimit) {
                c.warnings.push_back("The " + name(modes[m]) +
                                     " map is a picture of task B alone: its rank correlation with "
                                     "the mean gradient size of B is " +
                                     formatNumber(c.pictureOfB.back(), 4) +
                                     ". Choose another --fisher-task.");
            }
        }
    }
    job.finish();
    return c;
}

Comparison compareModes(const dump::DumpReader& dump, const ScoreRequest& request, std::size_t top,
                        Job& job) {
    return compareModes(*makeDumpSource(dump), request, top, job);
}

nlohmann::json toJson(const Comparison& c) {
    nlohmann::json out;
    const ScoreHeader& h = c.scores.front()->header();
    out["config"] = nlohmann::json::parse(h.configJson);
    out["layers"] = h.layers;
    out["heads"] = h.heads;
    for (std::size_t m = 0; m < c.scores.size(); ++m) {
        const Scores& scores = *c.scores[m];
        nlohmann::json& mode = out["modes"][name(*scores.header().request.mode)];
        for (const Block block : allBlocks) {
            if (!h.blocks[blockIndex(block)]) {
                continue;
            }
            nlohmann::json map = nlohmann::json::array();
            for (std::size_t row = 0; row < h.layers.size(); ++row) {
                nlohmann::json line = nlohmann::json::array();
                for (std::size_t column = 0; column < h.heads.size(); ++column) {
                    line.push_back(number(scores.mean(block, row, column)));
                }
                map.push_back(std::move(line));
            }
            mode["blocks"][std::string(1, blockName(block))]["layer_head_mean"] = std::move(map);
        }
        mode["correlation_with_b"] =
            m < c.pictureOfB.size() ? number(c.pictureOfB[m]) : nlohmann::json(nullptr);
        mode["missing"] = scores.header().missing;
    }
    out["differences"] = nlohmann::json::array();
    for (const ModeDifference& d : c.differences) {
        nlohmann::json entry{{"first", name(d.first)},
                             {"second", name(d.second)},
                             {"spearman", number(d.spearman)},
                             {"top", d.top},
                             {"top_overlap", number(d.topOverlap)}};
        for (const Block block : allBlocks) {
            if (h.blocks[blockIndex(block)]) {
                entry["spearman_per_block"][std::string(1, blockName(block))] =
                    number(d.perBlock[blockIndex(block)]);
            }
        }
        entry["moved_most"] = nlohmann::json::array();
        for (std::size_t k = 0; k < d.movedMost.size(); ++k) {
            const MapCell& cell = d.movedMost[k];
            entry["moved_most"].push_back({{"block", std::string(1, blockName(cell.block))},
                                           {"layer", h.layers[cell.layerRow]},
                                           {"head", h.heads[cell.headColumn]},
                                           {"rank_change", d.rankChange[k]}});
        }
        out["differences"].push_back(std::move(entry));
    }
    out["warnings"] = c.warnings;
    out["notes"] = h.notes;
    return out;
}

} // namespace qkov::engine
