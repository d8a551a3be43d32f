// SPDX-License-Identifier: GPL-3.0-or-later
// A small score tensor made by hand, for tests of what shows it.
#pragma once

#include "engine/Scores.h"

#include <memory>
#include <string>

namespace qkov::test {

struct FakeShape {
    int layers = 3;
    int heads = 4;
    int kvHeads = 2;
    int nA = 5;
    int nB = 6;
};

/// score(B, l, h, i, j): B, l, kv head (Q and O: head), i and j can be read off the value.
inline float fakeScore(Block b, int layer, int sliceHead, int i, int j) {
    return static_cast<float>(1 + static_cast<int>(blockIndex(b))) * 0.1F +
           static_cast<float>(layer) * 1.0F + static_cast<float>(sliceHead) * 10.0F +
           static_cast<float>(i) * 0.001F + static_cast<float>(j) * 0.0001F;
}

inline std::shared_ptr<const engine::ScoreHeader> fakeHeader(const FakeShape& s) {
    auto h = std::make_shared<engine::ScoreHeader>();
    h->model.name = "fake";
    h->model.architecture = "gpt2";
    h->model.numLayers = s.layers;
    h->model.numHeads = s.heads;
    h->model.numKvHeads = s.kvHeads;
    h->model.headDim = h->model.vHeadDim = 8;
    h->model.hiddenDim = 8 * s.heads;
    h->dumpName = "fake.h5";
    h->dumpFingerprint = "0";
    h->taskA = "math";
    h->taskB = "code";
    h->device = "cpu";
    h->request.taskA = "math";
    h->request.taskB = "code";
    h->request.mode = engine::Mode::structural;
    h->blocks = {true, true, true, true};
    for (int l = 0; l < s.layers; ++l) {
        h->layers.push_back(l);
    }
    for (int c = 0; c < s.heads; ++c) {
        h->heads.push_back(c);
    }
    for (int i = 0; i < s.nA; ++i) {
        h->samplesA.push_back({"math-" + std::to_string(i), "2 + " + std::to_string(i) + " =",
                               i % 2 ? "add" : "multiply", 4, 1.5F});
    }
    for (int j = 0; j < s.nB; ++j) {
        h->samplesB.push_back(
            {"code-" + std::to_string(j),
             "for x in range(" + std::to_string(j) + "):", j % 2 ? "loop" : "call", 7, 2.5F});
    }
    h->headTypes.names = {"induction", "mixed"};
    for (int n = 0; n < s.layers * s.heads; ++n) {
        h->headTypes.type.push_back(static_cast<std::uint8_t>(n % 2));
    }
    return h;
}

inline std::shared_ptr<const engine::LayerScores> fakeLayer(const FakeShape& s, int layer) {
    auto l = std::make_shared<engine::LayerScores>();
    for (const Block b : allBlocks) {
        const auto k = blockIndex(b);
        for (int h = 0; h < s.heads; ++h) {
            const bool shared = b == Block::K || b == Block::V;
            const int slice = shared ? h / (s.heads / s.kvHeads) : h;
            double sum = 0;
            for (int i = 0; i < s.nA; ++i) {
                for (int j = 0; j < s.nB; ++j) {
                    const float v = fakeScore(b, layer, slice, i, j);
                    l->pairs[k].push_back(v);
                    sum += static_cast<double>(v);
                }
            }
            l->means[k].push_back(sum / (s.nA * s.nB));
            l->health[k].push_back({1e-6, 1e-4, 1e-2, 0.1, 1e-5});
        }
    }
    return l;
}

/// @param computed layers that are there; negative: all
inline std::shared_ptr<const engine::Scores> fakeScores(const FakeShape& s = {},
                                                        int computed = -1) {
    std::vector<std::shared_ptr<const engine::LayerScores>> layers;
    for (int l = 0; l < s.layers; ++l) {
        layers.push_back(computed < 0 || l < computed ? fakeLayer(s, l) : nullptr);
    }
    return std::make_shared<engine::ScoreTensor>(fakeHeader(s), std::move(layers));
}

} // namespace qkov::test
