// SPDX-License-Identifier: GPL-3.0-or-later
// A dump of random numbers with the shapes of a real model, for measurements.
#pragma once

#include "dump/DumpWriter.h"

#include <cstdint>
#include <filesystem>
#include <random>
#include <vector>

namespace qkov::bench {

struct DumpSize {
    std::int64_t layers = 1, heads = 12, headDim = 64, samples = 100;
    std::int64_t hidden() const { return heads * headDim; }
};

inline std::int64_t bytes(const DumpSize& size) {
    return 2 * size.samples * size.layers * 4 * size.hidden() * size.hidden() * 2;
}

/// Tasks "a" and "b", float16 gradients of q_proj, k_proj, v_proj, o_proj; head types.
inline void writeDump(const std::filesystem::path& file, const DumpSize& size) {
    model::ModelShape shape;
    shape.name = "bench";
    shape.architecture = "llama";
    shape.numLayers = size.layers;
    shape.numHeads = shape.numKvHeads = size.heads;
    shape.headDim = shape.vHeadDim = size.headDim;
    shape.hiddenDim = size.hidden();
    shape.configJson = "{}";
    dump::DumpWriter writer(file, shape, "bench");
    std::mt19937 engine(7);
    std::normal_distribution<float> normal(0, 1e-2f);
    const auto numbers = static_cast<std::size_t>(size.hidden() * size.hidden());
    std::vector<float> values(numbers + 4096);
    for (float& v : values) {
        v = normal(engine);
    }
    for (const char* task : {"a", "b"}) {
        std::vector<dump::SampleInfo> samples(static_cast<std::size_t>(size.samples));
        for (std::size_t i = 0; i < samples.size(); ++i) {
            samples[i].id = std::string(task) + std::to_string(i);
            samples[i].tokens = 10;
        }
        writer.beginTask(task, "mean", samples);
        for (std::int64_t layer = 0; layer < size.layers; ++layer) {
            for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
                const std::string parameter =
                    "model.layers." + std::to_string(layer) + ".self_attn." + name + ".weight";
                writer.declareGradients(parameter, {size.hidden(), size.hidden()}, DType::f16);
                for (std::int64_t s = 0; s < size.samples; ++s) {
                    writer.writeGradients(parameter, s, 1, values.data() + (s * 37) % 4096);
                }
            }
        }
    }
    dump::HeadTypes types;
    types.names = {"induction", "content", "mixed"};
    for (std::int64_t k = 0; k < size.layers * size.heads; ++k) {
        types.type.push_back(static_cast<std::uint8_t>(k % 3));
    }
    writer.writeHeadTypes(types);
    writer.commit();
}

} // namespace qkov::bench
