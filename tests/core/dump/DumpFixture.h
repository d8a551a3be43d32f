// SPDX-License-Identifier: GPL-3.0-or-later
// Small models and dumps for the tests of core/dump.
#pragma once

#include "base/Error.h"
#include "dump/DumpReader.h"
#include "dump/DumpWriter.h"

#include <QTemporaryDir>
#include <random>

namespace fixture {

using namespace qkov;
using namespace qkov::dump;

inline model::ModelShape gpt2Shape(std::int64_t layers = 2, std::int64_t heads = 2,
                                   std::int64_t d = 3) {
    model::ModelShape s;
    s.name = "tiny";
    s.architecture = "gpt2";
    s.numLayers = layers;
    s.numHeads = s.numKvHeads = heads;
    s.headDim = s.vHeadDim = d;
    s.hiddenDim = heads * d;
    s.configJson = "{}";
    return s;
}

inline model::ModelShape llamaShape(std::int64_t layers, std::int64_t heads, std::int64_t kv,
                                    std::int64_t d, std::int64_t hidden) {
    model::ModelShape s = gpt2Shape(layers, heads, d);
    s.architecture = "llama";
    s.numKvHeads = kv;
    s.hiddenDim = hidden;
    return s;
}

inline std::vector<SampleInfo> samples(std::int64_t n, const std::string& prefix = "s") {
    std::vector<SampleInfo> out;
    for (std::int64_t i = 0; i < n; ++i) {
        SampleInfo s;
        s.id = prefix + std::to_string(i);
        s.text = "text " + std::to_string(i);
        s.group = i % 2 ? "odd" : "even";
        s.tokens = static_cast<std::int32_t>(3 + i);
        s.loss = 0.5f * static_cast<float>(i);
        out.push_back(s);
    }
    return out;
}

inline std::vector<float> randoms(std::size_t n, unsigned seed, float scale = 1) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> v(n);
    for (float& x : v) {
        x = normal(engine);
    }
    return v;
}

/// What a stored type makes of a number.
inline float stored(float v, DType type) {
    switch (type) {
    case DType::f16:
        return halfToFloat(floatToHalf(v));
    case DType::bf16:
        return bfloatToFloat(floatToBfloat(v));
    default:
        return v;
    }
}

class Folder {
  public:
    std::filesystem::path operator/(const char* name) const {
        return std::filesystem::path(m_dir.path().toStdString()) / name;
    }
    std::filesystem::path path() const { return m_dir.path().toStdString(); }

  private:
    QTemporaryDir m_dir;
};

} // namespace fixture
