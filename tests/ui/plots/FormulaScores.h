// SPDX-License-Identifier: GPL-3.0-or-later
// Scores made by formula, in memory: every cell and pair has a value of its own.
#pragma once

#include "engine/Scores.h"

#include <cmath>
#include <limits>
#include <memory>

namespace qkov::ui::testing {

struct FormulaOptions {
    std::int64_t layers = 3, heads = 8, kvHeads = 8;
    std::size_t nA = 4, nB = 5;
    engine::Mode mode = engine::Mode::structural;
    engine::Variant variant = engine::Variant::magnitude;
    bool withTypes = false;
    std::int64_t computedLayers = -1; ///< -1: all
    bool missingK = false;
    double scale = 1;
};

inline float formulaScore(Block b, std::int64_t layer, std::int64_t kvOrHead, std::size_t i,
                          std::size_t j) {
    return static_cast<float>(100 * (1 + static_cast<int>(b)) + 10 * layer) +
           static_cast<float>(kvOrHead) + 0.1F * static_cast<float>(i) +
           0.01F * static_cast<float>(j);
}

inline std::shared_ptr<const engine::Scores> formulaScores(const FormulaOptions& o = {}) {
    auto header = std::make_shared<engine::ScoreHeader>();
    engine::ScoreHeader& h = *header;
    h.model.name = "formula";
    h.model.numLayers = o.layers;
    h.model.numHeads = o.heads;
    h.model.numKvHeads = o.kvHeads;
    h.model.headDim = h.model.vHeadDim = 4;
    h.model.hiddenDim = 4 * o.heads;
    h.dumpName = "formula.h5";
    h.dumpFingerprint = "0123";
    h.taskA = "math";
    h.taskB = "code";
    h.request.taskA = h.taskA;
    h.request.taskB = h.taskB;
    h.request.mode = o.mode;
    h.request.variant = o.variant;
    h.request.estimator = engine::Estimator::ema;
    h.blocks = {true, true, true, true};
    for (std::int64_t l = 0; l < o.layers; ++l) {
        h.layers.push_back(static_cast<std::int32_t>(l));
    }
    for (std::int64_t c = 0; c < o.heads; ++c) {
        h.heads.push_back(static_cast<std::int32_t>(c));
    }
    const auto samples = [](const char* task, std::size_t n) {
        std::vector<dump::SampleInfo> list(n);
        for (std::size_t k = 0; k < n; ++k) {
            list[k].id = std::string(task) + "-" + std::to_string(k);
            list[k].group = k < n / 2 ? "first" : "second";
        }
        return list;
    };
    h.samplesA = samples("math", o.nA);
    h.samplesB = samples("code", o.nB);
    if (o.withTypes) {
        h.headTypes.names = {"mixed", "induction", "previous_token"};
        for (std::int64_t n = 0; n < o.layers * o.heads; ++n) {
            h.headTypes.type.push_back(static_cast<std::uint8_t>(n % 3));
        }
    }
    std::vector<std::shared_ptr<const engine::LayerScores>> layers;
    for (std::int64_t l = 0; l < o.layers; ++l) {
        if (o.computedLayers >= 0 && l >= o.computedLayers) {
            layers.push_back(nullptr);
            continue;
        }
        auto layer = std::make_shared<engine::LayerScores>();
        for (const Block b : allBlocks) {
            if (b == Block::K && o.missingK) {
                continue;
            }
            const bool kv = b == Block::K || b == Block::V;
            for (std::int64_t c = 0; c < o.heads; ++c) {
                double sum = 0;
                for (std::size_t i = 0; i < o.nA; ++i) {
                    for (std::size_t j = 0; j < o.nB; ++j) {
                        const float s = static_cast<float>(o.scale) *
                                        formulaScore(b, l, kv ? h.model.kvHead(c) : c, i, j);
                        layer->pairs[blockIndex(b)].push_back(s);
                        sum += static_cast<double>(s);
                    }
                }
                layer->means[blockIndex(b)].push_back(sum / static_cast<double>(o.nA * o.nB));
                layer->health[blockIndex(b)].push_back({1e-9, 1e-8, 1e-6, 0.1, 1e-11});
            }
        }
        layers.push_back(std::move(layer));
    }
    return std::make_shared<engine::ScoreTensor>(header, std::move(layers));
}

} // namespace qkov::ui::testing
