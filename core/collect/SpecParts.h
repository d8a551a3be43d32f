// SPDX-License-Identifier: GPL-3.0-or-later
// What the model families' specs are put together from. Private to core/collect.
#pragma once

#include "collect/ConfigReader.h"
#include "collect/DecoderSpec.h"

#include <functional>
#include <string>
#include <vector>

namespace qkov::collect {

using Keys = ConfigReader::Keys;

/// What a family's function is given.
struct SpecSource {
    const ConfigReader& config;
    const std::vector<std::string>& tensors;

    bool hasTensor(const std::string& name) const;
};

/// @throws InputError an activation that is not covered
Activation activation(const ConfigReader& config, const Keys& keys, const std::string& otherwise);

/// The output matrix: the embedding's where they are tied.
void setHead(DecoderSpec& spec, const SpecSource& source, const std::string& head,
             bool tiedByDefault);

/// Rotations, with the scaling of "rope_scaling" (or "rope_parameters", its later name).
/// @throws InputError a kind or a key of scaling that is not covered
void setRotary(DecoderSpec& spec, const ConfigReader& config, std::int64_t dim, double theta);

/// Sliding windows: "layer_types" where the config lists them, else `slides(layer)`.
/// @param window 0: none
/// @throws InputError layers of another kind; layers that slide without a window
void setWindows(DecoderSpec& spec, const ConfigReader& config, std::int64_t window,
                const std::function<bool(std::int64_t layer)>& slides);

// One function per family. Names, options and defaults are those of the public Hugging Face
// modeling sources; shape and attentionScale = 1/√d are set before.
void llama(DecoderSpec& spec, const SpecSource& source);
void mistral(DecoderSpec& spec, const SpecSource& source);
void qwen2(DecoderSpec& spec, const SpecSource& source);
void qwen3(DecoderSpec& spec, const SpecSource& source);
void gemma(DecoderSpec& spec, const SpecSource& source);
void gemma2(DecoderSpec& spec, const SpecSource& source);
void phi3(DecoderSpec& spec, const SpecSource& source);
void gpt2(DecoderSpec& spec, const SpecSource& source);
void gptBigcode(DecoderSpec& spec, const SpecSource& source);
void gptNeo(DecoderSpec& spec, const SpecSource& source);
void gptNeox(DecoderSpec& spec, const SpecSource& source);
void gptj(DecoderSpec& spec, const SpecSource& source);
void opt(DecoderSpec& spec, const SpecSource& source);
void bloom(DecoderSpec& spec, const SpecSource& source);
void falcon(DecoderSpec& spec, const SpecSource& source);
void mpt(DecoderSpec& spec, const SpecSource& source);

} // namespace qkov::collect
