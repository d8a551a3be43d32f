// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/DecoderSpec.h"

#include "base/Error.h"
#include "collect/SpecParts.h"
#include "model/ModelConfig.h"

#include <cmath>
#include <map>

namespace qkov::collect {
namespace {

using Fill = void (*)(DecoderSpec&, const SpecSource&);
const std::map<std::string, Fill>& families() {
    static const std::map<std::string, Fill> table{
        {"bloom", bloom},    {"falcon", falcon},    {"gemma", gemma},
        {"gemma2", gemma2},  {"gpt2", gpt2},        {"gpt_bigcode", gptBigcode},
        {"gpt_neo", gptNeo}, {"gpt_neox", gptNeox}, {"gptj", gptj},
        {"llama", llama},    {"mistral", mistral},  {"mpt", mpt},
        {"opt", opt},        {"phi3", phi3},        {"qwen2", qwen2},
        {"qwen3", qwen3},
    };
    return table;
}

} // namespace

std::vector<std::string> collectableArchitectures() {
    std::vector<std::string> names;
    for (const auto& [name, fill] : families()) {
        names.push_back(name);
    }
    return names;
}

double DecoderSpec::macsPerToken() const {
    const auto D = static_cast<double>(hidden);
    const double attention = static_cast<double>(qkvRows()) * D +
                             D * static_cast<double>(heads) * static_cast<double>(headDim);
    const double perLayer =
        attention + (mlp == MlpKind::plain ? 2 : 3) * D * static_cast<double>(mlpDim);
    return static_cast<double>(layers) * perLayer +
           static_cast<double>(vocabulary) * static_cast<double>(embeddingDim);
}

DecoderSpec decoderSpec(const model::ModelShape& shape, const std::filesystem::path& file,
                        const std::vector<std::string>& tensorNames) {
    const auto family = families().find(shape.architecture);
    if (family == families().end()) {
        std::string known;
        for (const std::string& name : collectableArchitectures()) {
            known += (known.empty() ? "" : ", ") + name;
        }
        throw InputError(
            "gradients can't be collected from a model of type \"" + shape.architecture + "\"",
            file, "model_type",
            "covered: " + known + "; for others use the Python exporter or TorchScript");
    }
    const ConfigReader config(model::languageConfig(shape.configJson), file);
    if (config.has("quantization_config")) {
        config.fail("quantization_config", "is set: quantized weights are not covered",
                    "use the model's full-precision weights");
    }
    DecoderSpec spec;
    spec.vocabulary = config.size({"vocab_size"});
    spec.hidden = shape.hiddenDim;
    spec.layers = shape.numLayers;
    spec.heads = shape.numHeads;
    spec.kvHeads = shape.numKvHeads;
    spec.headDim = shape.headDim;
    spec.embeddingDim = spec.hidden;
    spec.attentionScale = 1 / std::sqrt(static_cast<double>(spec.headDim));
    if (shape.vHeadDim != shape.headDim) {
        throw InputError("value heads of another size than query heads are not covered", file,
                         "v_head_dim");
    }
    family->second(spec, SpecSource{config, tensorNames});
    if (spec.qkvOrder == QkvOrder::perHead && spec.kvHeads != spec.heads) {
        throw InputError("this architecture interleaves Q, K and V per head, but has " +
                             std::to_string(spec.kvHeads) + " kv heads for " +
                             std::to_string(spec.heads) + " heads",
                         file);
    }
    return spec;
}

} // namespace qkov::collect
