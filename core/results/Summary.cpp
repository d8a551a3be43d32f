// SPDX-License-Identifier: GPL-3.0-or-later
#include "results/Summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace qkov::results {
namespace {

using engine::ScoreHeader;
using engine::Scores;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The q-quantile, interpolated linearly between neighbours (NumPy's default).
double quantile(std::vector<float>& values, double q) {
    const double at = q * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(at);
    const auto nth = values.begin() + static_cast<std::ptrdiff_t>(low);
    std::nth_element(values.begin(), nth, values.end());
    const double below = *nth;
    if (low + 1 == values.size()) {
        return below;
    }
    const double above = *std::min_element(nth + 1, values.end());
    return below + (at - static_cast<double>(low)) * (above - below);
}

double median(std::vector<double> values) {
    if (values.empty()) {
        return nan;
    }
    const std::size_t half = values.size() / 2;
    std::sort(values.begin(), values.end());
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Calls visit(row, column, mean) for each distinct cell of the block that has data.
template <class Visit>
void eachDistinct(const Scores& scores, Block block, Visit visit) {
    const ScoreHeader& h = scores.header();
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        for (std::size_t c = 0; scores.computed(l) && c < h.heads.size(); ++c) {
            const double m = h.distinct(block, c) ? scores.mean(block, l, c) : nan;
            if (!std::isnan(m)) {
                visit(l, c, m);
            }
        }
    }
}

} // namespace

double reducePairs(std::vector<float> pairs, Reduction reduction) {
    std::erase_if(pairs, [](float v) { return std::isnan(v); });
    if (pairs.empty()) {
        return nan;
    }
    switch (reduction) {
    case Reduction::mean: {
        double sum = 0;
        for (const float v : pairs) {
            sum += v;
        }
        return sum / static_cast<double>(pairs.size());
    }
    case Reduction::max:
        return *std::max_element(pairs.begin(), pairs.end());
    case Reduction::median:
        return quantile(pairs, 0.5);
    case Reduction::percentile95:
        return quantile(pairs, 0.95);
    }
    return nan;
}

std::vector<double> reduce(const Scores& scores, Block block, Reduction reduction) {
    const ScoreHeader& h = scores.header();
    const std::size_t nh = h.heads.size();
    std::vector<double> out(h.layers.size() * nh, nan);
    if (!h.blocks[blockIndex(block)]) {
        return out;
    }
    for (std::size_t l = 0; l < h.layers.size(); ++l) {
        for (std::size_t c = 0; scores.computed(l) && c < nh; ++c) {
            double& value = out[l * nh + c];
            if (reduction == Reduction::mean) {
                value = scores.mean(block, l, c);
            } else if (h.distinct(block, c)) {
                value = reducePairs(scores.pairs(block, l, c), reduction);
            } else {
                value = out[l * nh + h.representative(block, c)];
            }
        }
    }
    return out;
}

Overview overview(const Scores& scores) {
    const ScoreHeader& h = scores.header();
    const double sign = lowIsConflict(h.request.variant) ? -1 : 1;
    Overview o;
    o.blockMean.fill(nan);
    std::vector<double> peakBlock;
    for (const Block block : allBlocks) {
        std::vector<double> means;
        bool holdsPeak = false;
        eachDistinct(scores, block, [&](std::size_t l, std::size_t c, double m) {
            means.push_back(m);
            if (!o.peak || sign * m > sign * o.maxInterference) {
                o.peak = Cell{block, LayerIndex(h.layers[l]), HeadIndex(h.heads[c])};
                o.maxInterference = m;
                holdsPeak = true;
            }
        });
        if (means.empty()) {
            continue;
        }
        double sum = 0;
        for (const double m : means) {
            sum += m;
        }
        double& mean = o.blockMean[blockIndex(block)];
        mean = sum / static_cast<double>(means.size());
        if (!o.mostConflicted || sign * mean > sign * o.blockMean[blockIndex(*o.mostConflicted)]) {
            o.mostConflicted = block;
        }
        if (holdsPeak) {
            peakBlock = std::move(means);
        }
    }
    if (!o.peak) {
        o.maxInterference = nan;
    }
    const double typical = median(peakBlock);
    o.peakRatio = typical != 0 ? o.maxInterference / typical : nan;
    return o;
}

Rank rankOf(const Scores& scores, Block block, std::size_t layerRow, std::size_t headColumn) {
    const ScoreHeader& h = scores.header();
    const double sign = lowIsConflict(h.request.variant) ? -1 : 1;
    const double own = scores.mean(block, layerRow, headColumn);
    Rank r;
    std::size_t better = 0;
    for (const Block b : allBlocks) {
        eachDistinct(scores, b, [&](std::size_t, std::size_t, double m) {
            ++r.of;
            better += sign * m > sign * own ? 1 : 0;
        });
    }
    r.rank = std::isnan(own) ? 0 : better + 1;
    return r;
}

nlohmann::json toJson(const Scores& scores, std::size_t top) {
    using nlohmann::json;
    const ScoreHeader& h = scores.header();
    const auto ids = [](const std::vector<dump::SampleInfo>& samples) {
        json list = json::array();
        for (const dump::SampleInfo& s : samples) {
            list.push_back(s.id);
        }
        return list;
    };
    // JSON has no NaN; nlohmann writes null for it, and this makes that visible in the value too.
    const auto number = [](double v) { return std::isfinite(v) ? json(v) : json(nullptr); };

    json blocks = json::object();
    for (const Block block : allBlocks) {
        if (!h.blocks[blockIndex(block)]) {
            continue;
        }
        json means = json::array();
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            json row = json::array();
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                row.push_back(scores.computed(l) ? number(scores.mean(block, l, c))
                                                 : json(nullptr));
            }
            means.push_back(std::move(row));
        }
        json conflicts = json::array();
        for (const Conflict& c : topConflicts(scores, {block}, top)) {
            conflicts.push_back({{"sample_i", h.samplesA[c.i].id},
                                 {"sample_j", h.samplesB[c.j].id},
                                 {"layer", c.cell.layer.value},
                                 {"head", c.cell.head.value},
                                 {"score", number(c.score)}});
        }
        blocks[std::string(1, blockName(block))] = {{"layer_head_mean", std::move(means)},
                                                    {"top_conflicts", std::move(conflicts)}};
    }
    const Overview o = overview(scores);
    json config = json::parse(h.configJson, nullptr, false);
    if (!config.is_object()) {
        config = engine::toJson(h.request);
    }
    return {{"config", std::move(config)},
            {"layers", h.layers},
            {"heads", h.heads},
            {"samples_a", ids(h.samplesA)},
            {"samples_b", ids(h.samplesB)},
            {"blocks", std::move(blocks)},
            {"most_conflicted_block",
             o.mostConflicted ? json(std::string(1, blockName(*o.mostConflicted))) : json(nullptr)},
            {"max_interference", number(o.maxInterference)},
            {"missing", h.missing},
            {"notes", h.notes},
            {"device", h.device},
            {"timing",
             {{"read_s", h.readSeconds},
              {"compute_s", h.computeSeconds},
              {"total_s", h.totalSeconds}}}};
}

} // namespace qkov::results
