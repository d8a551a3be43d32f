// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/SpecParts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace qkov::collect {
namespace {

/// Keys of other kinds of scaling (mscale, mrope_section, …) change the numbers: none is ignored.
void checkScalingKeys(const ConfigReader& scaling) {
    static constexpr std::array known{"attention_factor",
                                      "beta_fast",
                                      "beta_slow",
                                      "factor",
                                      "high_freq_factor",
                                      "long_factor",
                                      "low_freq_factor",
                                      "original_max_position_embeddings",
                                      "rope_theta",
                                      "partial_rotary_factor",
                                      "rope_type",
                                      "short_factor",
                                      "type"};
    for (const auto& [key, value] : scaling.object().items()) {
        if (!value.is_null() && std::find(known.begin(), known.end(), key) == known.end()) {
            scaling.fail(key, "is set, which is not covered");
        }
    }
}

} // namespace

bool SpecSource::hasTensor(const std::string& name) const {
    return std::any_of(tensors.begin(), tensors.end(), [&](const std::string& t) {
        return t == name || (t.size() > name.size() && t.ends_with("." + name));
    });
}

Activation activation(const ConfigReader& config, const Keys& keys, const std::string& otherwise) {
    static const std::map<std::string, Activation> known{
        {"gelu", Activation::gelu},
        {"gelu_python", Activation::gelu},
        {"gelu_new", Activation::geluTanh},
        {"gelu_fast", Activation::geluTanh},
        {"gelu_pytorch_tanh", Activation::geluTanh},
        {"gelu_accurate", Activation::geluTanh},
        {"quick_gelu", Activation::quickGelu},
        {"relu", Activation::relu},
        {"silu", Activation::silu},
        {"swish", Activation::silu},
    };
    const std::string name = config.text(keys, otherwise);
    const auto it = known.find(name);
    if (it == known.end()) {
        config.fail(keys.front(), "is \"" + name +
                                      "\"; the activations gelu, gelu_new, gelu_fast, "
                                      "gelu_pytorch_tanh, quick_gelu, relu and silu are covered");
    }
    return it->second;
}

void setHead(DecoderSpec& spec, const SpecSource& source, const std::string& head,
             bool tiedByDefault) {
    const bool said = source.config.has("tie_word_embeddings");
    const bool tied = source.config.flag("tie_word_embeddings", tiedByDefault);
    spec.head = tied || (!said && !source.hasTensor(head)) ? spec.embedding : head;
}

void setRotary(DecoderSpec& spec, const ConfigReader& config, std::int64_t dim, double theta) {
    if (dim < 2 || dim % 2 != 0 || dim > spec.headDim) {
        config.fail("rotary dimension", "is " + std::to_string(dim) +
                                            ", expected an even number up to the head size " +
                                            std::to_string(spec.headDim));
    }
    spec.positions = PositionKind::rotary;
    RotarySpec& r = spec.rotary;
    r.dim = dim;
    r.theta = theta;
    const std::string key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const ConfigReader scaling = config.inside(key);
    r.theta = scaling.number({"rope_theta"}, r.theta);
    if (r.theta <= 0) {
        config.fail("rope_theta", "is not positive");
    }
    const std::string type = scaling.text({"rope_type", "type"}, "default");
    checkScalingKeys(scaling);
    if (type == "default") {
        return;
    }
    const Keys originalKey{"original_max_position_embeddings"};
    if (spec.maxPositions == 0) {
        config.fail("max_position_embeddings", "is missing, and " + key + " depends on it");
    }
    // Set before by a family whose class has a default.
    const std::int64_t byDefault = r.originalMaxPositions;
    const bool listed = config.has(originalKey.front()) || byDefault > 0;
    r.originalMaxPositions = scaling.size(
        originalKey, config.size(originalKey, byDefault > 0 ? byDefault : spec.maxPositions));
    const auto original = static_cast<double>(r.originalMaxPositions);
    const double stretched = static_cast<double>(spec.maxPositions) / original;
    // Phi-3's first configs call the same thing "su" or "yarn".
    if (type == "longrope" || type == "su" || scaling.has("short_factor")) {
        r.scaling = RotaryScaling::longrope;
        r.shortFactors = scaling.numbers("short_factor", static_cast<std::size_t>(dim / 2));
        r.longFactors = scaling.numbers("long_factor", static_cast<std::size_t>(dim / 2));
        // The model's own two lengths go before a factor, as in the published code.
        const double factor = listed ? stretched : scaling.number({"factor"}, stretched);
        r.attentionFactor =
            scaling.number({"attention_factor"},
                           factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
        return;
    }
    r.factor = scaling.number({"factor"});
    if (r.factor <= 0) {
        scaling.fail("factor", "is not positive");
    }
    if (type == "linear") {
        r.scaling = RotaryScaling::linear;
    } else if (type == "dynamic") {
        r.scaling = RotaryScaling::dynamic;
        r.originalMaxPositions = std::max<std::int64_t>(1, spec.maxPositions);
        spec.maxPositions = static_cast<std::int64_t>(static_cast<double>(spec.maxPositions) *
                                                      std::max(1.0, r.factor));
    } else if (type == "llama3") {
        r.scaling = RotaryScaling::llama3;
        r.lowFrequencyFactor = scaling.number({"low_freq_factor"});
        r.highFrequencyFactor = scaling.number({"high_freq_factor"});
        if (r.lowFrequencyFactor <= 0 || r.highFrequencyFactor <= r.lowFrequencyFactor) {
            scaling.fail("high_freq_factor", "must be above low_freq_factor, and both positive");
        }
    } else if (type == "yarn") {
        r.scaling = RotaryScaling::yarn;
        r.betaFast = scaling.number({"beta_fast"}, 32);
        r.betaSlow = scaling.number({"beta_slow"}, 1);
        r.attentionFactor =
            scaling.number({"attention_factor"}, r.factor <= 1 ? 1 : 0.1 * std::log(r.factor) + 1);
    } else {
        scaling.fail("rope_type", "is \"" + type +
                                      "\"; default, linear, dynamic, llama3, longrope "
                                      "and yarn are covered");
    }
}

void setWindows(DecoderSpec& spec, const ConfigReader& config, std::int64_t window,
                const std::function<bool(std::int64_t)>& slides) {
    const bool listed = config.has("layer_types");
    if (window <= 0 && !listed) {
        return;
    }
    spec.windows.assign(static_cast<std::size_t>(spec.layers), 0);
    const auto& types = listed ? config.object()["layer_types"] : config.object();
    if (listed && (!types.is_array() || types.size() != spec.windows.size())) {
        config.fail("layer_types", "is not a list with one entry per layer");
    }
    for (std::int64_t l = 0; l < spec.layers; ++l) {
        const auto at = static_cast<std::size_t>(l);
        if (listed && types[at] != "sliding_attention" && types[at] != "full_attention") {
            config.fail("layer_types", "names " + types[at].dump() +
                                           "; full_attention and sliding_attention are covered");
        }
        const bool slide = listed ? types[at] == "sliding_attention" : slides(l);
        if (slide && window <= 0) {
            config.fail("sliding_window", "is missing, and layer_types names layers that slide");
        }
        spec.windows[at] = slide ? window : 0;
    }
}

} // namespace qkov::collect
