// SPDX-License-Identifier: GPL-3.0-or-later
// Score tensors of random numbers, with what makes them hard: shared kv heads, missing blocks and
// cells, NaN pairs, ties, layers not computed, a selection of layers and heads.
#pragma once

#ifndef Q_MOC_RUN // moc 6.4 stumbles over what the standard headers below include

#include "engine/Scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

namespace qkov::test {

inline constexpr float missing = std::numeric_limits<float>::quiet_NaN();

struct Shape {
    std::int64_t modelLayers = 5, modelHeads = 6, kvHeads = 2;
    std::vector<std::int32_t> layers{0, 2, 3}, heads{0, 1, 2, 4, 5};
    std::size_t nA = 4, nB = 3;
    engine::Variant variant = engine::Variant::magnitude;
    bool lastLayerComputed = true;
};

inline std::shared_ptr<engine::ScoreTensor> makeScores(const Shape& s, unsigned seed) {
    std::mt19937 random(seed);
    auto header = std::make_shared<engine::ScoreHeader>();
    header->model.name = "tiny";
    header->model.architecture = "llama";
    header->model.numLayers = s.modelLayers;
    header->model.numHeads = s.modelHeads;
    header->model.numKvHeads = s.kvHeads;
    header->model.headDim = 4;
    header->model.vHeadDim = 8;
    header->model.hiddenDim = 24;
    header->model.configJson = "{\"model_type\": \"llama\"}";
    header->dumpName = "tiny.qkov";
    header->dumpFingerprint = "abc123";
    header->taskA = "math";
    header->taskB = "code, \"mixed\"";
    header->device = "cpu";
    header->createdBy = "test";
    header->createdAt = "2026-01-01T00:00:00Z";
    header->request.taskA = header->taskA;
    header->request.taskB = header->taskB;
    header->request.mode = engine::Mode::structural;
    header->request.estimator = engine::Estimator::ema;
    header->request.variant = s.variant;
    header->request.layers.assign(s.layers.begin(), s.layers.end());
    header->configJson = engine::toJson(header->request).dump();
    header->layers = s.layers;
    header->heads = s.heads;
    for (std::size_t i = 0; i < s.nA; ++i) {
        header->samplesA.push_back({"a,\"" + std::to_string(i), "x = \xc3\xa9\n2", "g", 5, 1.5f});
    }
    for (std::size_t j = 0; j < s.nB; ++j) {
        header->samplesB.push_back({"b" + std::to_string(j), "", "", 0, missing});
    }
    header->blocks = {true, true, false, true};
    header->headTypes.names = {"mixed", "induction"};
    for (std::int64_t i = 0; i < s.modelLayers * s.modelHeads; ++i) {
        header->headTypes.type.push_back(static_cast<std::uint8_t>(i % 2));
        header->headTypes.scores.insert(header->headTypes.scores.end(), {0.25f, float(i)});
    }
    header->missing = {"task code lacks block V"};
    header->notes = {"structural was chosen", "second note"};
    header->readSeconds = 0.5;
    header->totalSeconds = 2;

    std::vector<std::shared_ptr<const engine::LayerScores>> layers;
    const std::size_t cell = s.nA * s.nB;
    for (std::size_t l = 0; l < s.layers.size(); ++l) {
        if (!s.lastLayerComputed && l + 1 == s.layers.size()) {
            layers.push_back(nullptr);
            continue;
        }
        auto layer = std::make_shared<engine::LayerScores>();
        for (const Block b : allBlocks) {
            const std::size_t bi = blockIndex(b);
            if (!header->blocks[bi]) {
                continue;
            }
            for (std::size_t c = 0; c < s.heads.size(); ++c) {
                std::vector<float> pairs;
                const std::size_t first = header->representative(b, c);
                if (first != c) {
                    const auto from = layer->pairs[bi].begin() + std::ptrdiff_t(first * cell);
                    pairs.assign(from, from + std::ptrdiff_t(cell));
                } else {
                    for (std::size_t k = 0; k < cell; ++k) {
                        // Few distinct values: ties everywhere.
                        pairs.push_back(float(int(random() % 13) - 4) * 0.37f);
                    }
                    if (random() % 4 == 0) {
                        pairs[random() % cell] = missing;
                    }
                    if (random() % 6 == 0) {
                        pairs.assign(cell, missing);
                    }
                }
                double sum = 0;
                int n = 0;
                for (const float v : pairs) {
                    if (!std::isnan(v)) {
                        sum += v;
                        ++n;
                    }
                }
                layer->means[bi].push_back(n ? sum / n : double(missing));
                const double f = double(random() % 1000);
                layer->health[bi].push_back({f, f + 1, f + 2, 0.25, 1e-3 * f});
                layer->pairs[bi].insert(layer->pairs[bi].end(), pairs.begin(), pairs.end());
            }
        }
        layers.push_back(layer);
    }
    return std::make_shared<engine::ScoreTensor>(header, layers);
}

/// Equal, or both NaN.
inline bool same(double a, double b) {
    return a == b || (std::isnan(a) && std::isnan(b));
}

inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](float x, float y) { return same(x, y); });
}

} // namespace qkov::test

#endif
