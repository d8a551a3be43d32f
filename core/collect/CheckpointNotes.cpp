// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CheckpointNotes.h"

#include "collect/DecoderSpec.h"

#include <algorithm>

namespace qkov::collect {
namespace {

std::string forLayer(std::string name, std::int64_t layer) {
    const auto at = name.find("{l}");
    return at == std::string::npos ? name : name.replace(at, 3, std::to_string(layer));
}

/// Biases in the file of matrices that have none by the config.
std::vector<std::string> unusedBiases(const DecoderSpec& spec,
                                      const model::Checkpoint& checkpoint) {
    std::vector<std::string> names;
    const auto look = [&](const std::string& name) {
        if (const model::TensorEntry* bias = checkpoint.find(name + ".bias")) {
            names.push_back(bias->name);
        }
    };
    for (std::int64_t l = 0; l < spec.layers; ++l) {
        for (const LinearSpec* linear :
             {&spec.qkv, &spec.q, &spec.k, &spec.v, &spec.o, &spec.gate, &spec.up, &spec.down}) {
            if (*linear && !linear->bias) {
                look(forLayer(linear->name, l));
            }
        }
    }
    constexpr std::string_view weight = ".weight";
    if (spec.headBias.empty() && spec.head != spec.embedding && spec.head.ends_with(weight)) {
        look(spec.head.substr(0, spec.head.size() - weight.size()));
    }
    return names;
}

} // namespace

std::vector<std::string> checkpointNotes(const DecoderSpec& spec,
                                         const model::Checkpoint& checkpoint) {
    const auto biases = unusedBiases(spec, checkpoint);
    if (biases.empty()) {
        return {};
    }
    const bool one = biases.size() == 1;
    return {std::to_string(biases.size()) + (one ? " bias" : " biases") + " in the file " +
            (one ? "is" : "are") + " not used, because config.json gives " +
            (one ? "its matrix" : "their matrices") + " none: " + biases.front() +
            (one ? "" : ", …")};
}

std::vector<std::string> checkpointNotes(const model::Checkpoint& checkpoint) {
    const auto known = collectableArchitectures();
    if (std::find(known.begin(), known.end(), checkpoint.shape().architecture) == known.end()) {
        return {};
    }
    std::vector<std::string> names;
    for (const auto& [name, entry] : checkpoint.tensors()) {
        names.push_back(name);
    }
    return checkpointNotes(
        decoderSpec(checkpoint.shape(), checkpoint.directory() / "config.json", names), checkpoint);
}

} // namespace qkov::collect
