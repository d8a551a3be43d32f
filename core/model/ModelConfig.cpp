// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/ModelConfig.h"

#include "base/Error.h"
#include "base/RawFile.h"
#include "model/LayoutRules.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

namespace qkov::model {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t mostHeads = std::int64_t(1) << 20;
constexpr std::int64_t widest = std::int64_t(1) << 24;

/// The part that describes the language model.
const Json& textConfig(const Json& document) {
    for (const char* key : {"text_config", "llm_config", "language_config"}) {
        const auto nested = document.find(key);
        if (nested != document.end() && nested->is_object() && !nested->empty() &&
            !document.contains("hidden_size") && !document.contains("n_embd")) {
            return *nested;
        }
    }
    return document;
}

std::optional<std::int64_t> integer(const Json& config, const char* key,
                                    const std::filesystem::path& file) {
    const auto it = config.find(key);
    if (it == config.end() || it->is_null()) {
        return std::nullopt;
    }
    if (!it->is_number_integer() ||
        (it->is_number_unsigned() && it->get<std::uint64_t>() > std::uint64_t(INT64_MAX))) {
        throw InputError("is not an integer: " + it->dump().substr(0, 40), file, key);
    }
    return it->get<std::int64_t>();
}

std::optional<bool> boolean(const Json& config, const char* key,
                            const std::filesystem::path& file) {
    const auto it = config.find(key);
    if (it == config.end() || it->is_null()) {
        return std::nullopt;
    }
    if (!it->is_boolean()) {
        throw InputError("is not true or false: " + it->dump().substr(0, 40), file, key);
    }
    return it->get<bool>();
}

struct Reader {
    const Json& config;
    const LayoutRules* rules;
    const std::filesystem::path& file;

    std::optional<std::int64_t> find(std::initializer_list<const char*> keys) const {
        for (const char* key : keys) {
            if (const auto value = integer(config, key, file)) {
                return value;
            }
        }
        if (rules) {
            for (const char* key : keys) {
                const auto it = rules->defaults.find(key);
                if (it != rules->defaults.end()) {
                    return it->second;
                }
            }
        }
        return std::nullopt;
    }
    std::int64_t require(std::initializer_list<const char*> keys) const {
        const auto value = find(keys);
        if (!value) {
            std::string names;
            for (const char* key : keys) {
                names += (names.empty() ? "" : " or ") + std::string(key);
            }
            throw InputError("is missing", file, names);
        }
        return *value;
    }
};

std::int64_t kvHeads(const Reader& read, std::int64_t heads) {
    if (read.rules && read.rules->multiQuery) {
        if (boolean(read.config, "new_decoder_architecture", read.file).value_or(false)) {
            return read.find({"num_kv_heads", "num_key_value_heads", "n_head_kv"}).value_or(heads);
        }
        return boolean(read.config, "multi_query", read.file).value_or(true) ? 1 : heads;
    }
    if (const auto n = read.find({"num_key_value_heads", "num_kv_heads", "n_head_kv"})) {
        return *n;
    }
    const auto attention = read.config.find("attn_config");
    if (attention != read.config.end() && attention->is_object()) {
        if (const auto n = integer(*attention, "kv_n_heads", read.file)) {
            return *n;
        }
    }
    return boolean(read.config, "multi_query", read.file).value_or(false) ? 1 : heads;
}

/// MLA: what a head of Q spans, and what one of V does. False if the config doesn't say.
bool latentSizes(const Json& config, const std::filesystem::path& file, ModelShape& shape) {
    const auto plain = integer(config, "qk_nope_head_dim", file);
    const auto rotary = integer(config, "qk_rope_head_dim", file);
    const auto value = integer(config, "v_head_dim", file);
    if (!plain || !rotary || !value || *plain < 1 || *rotary < 0 || *plain > widest ||
        *rotary > widest) {
        return false;
    }
    shape.headDim = *plain + *rotary;
    shape.vHeadDim = *value;
    shape.numKvHeads = shape.numHeads;
    return true;
}

Json parseConfig(const std::string& text, const std::filesystem::path& file) {
    Json document = Json::parse(text, nullptr, false);
    if (document.is_discarded() || !document.is_object()) {
        throw InputError("is not a JSON object", file);
    }
    return document;
}

} // namespace

void ModelShape::check(const std::string& file, const std::string& where) const {
    const auto positive = [&](std::int64_t value, const char* what, std::int64_t most) {
        if (value < 1 || value > most) {
            throw InputError(std::string(what) + " is " + std::to_string(value) +
                                 ", expected 1 to " + std::to_string(most),
                             file, where);
        }
    };
    positive(numLayers, "the number of layers", mostHeads);
    positive(numHeads, "the number of heads", mostHeads);
    positive(numKvHeads, "the number of key/value heads", mostHeads);
    positive(headDim, "the head size", widest);
    positive(vHeadDim, "the value head size", widest);
    positive(hiddenDim, "the hidden size", widest);
    if (numHeads % numKvHeads != 0) {
        throw InputError(std::to_string(numHeads) + " heads can't share " +
                             std::to_string(numKvHeads) + " key/value heads evenly",
                         file, where);
    }
}

ModelShape shapeFromConfig(const std::string& configJson, const std::filesystem::path& file) {
    const Json document = parseConfig(configJson, file);
    const Json& config = textConfig(document);
    const auto typeOf = [&](const Json& object) {
        const auto it = object.find("model_type");
        return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    ModelShape shape;
    shape.architecture = typeOf(config).empty() ? typeOf(document) : typeOf(config);
    shape.configJson = configJson;
    const LayoutRules* rules = registryRules(shape.architecture);
    const Reader read{config, rules, file};
    shape.numLayers = read.require({"num_hidden_layers", "n_layer", "n_layers", "num_layers"});
    shape.numHeads = read.require({"num_attention_heads", "n_head", "n_heads", "num_heads"});
    shape.hiddenDim = read.require({"hidden_size", "n_embd", "d_model", "n_embed"});
    shape.numKvHeads = kvHeads(read, shape.numHeads);
    if (rules && rules->mla) {
        if (!latentSizes(config, file, shape)) {
            throw InputError("is missing or out of range", file,
                             "qk_nope_head_dim, qk_rope_head_dim or v_head_dim");
        }
    } else {
        const auto given = read.find({"head_dim"});
        if (!given && (shape.numHeads < 1 || shape.hiddenDim % shape.numHeads != 0)) {
            throw InputError("the hidden size " + std::to_string(shape.hiddenDim) +
                                 " is not a multiple of " + std::to_string(shape.numHeads) +
                                 " heads, and no head_dim is given",
                             file);
        }
        shape.headDim = given ? *given : shape.hiddenDim / shape.numHeads;
        shape.vHeadDim = read.find({"v_head_dim"}).value_or(shape.headDim);
    }
    shape.check(file.string(), {});
    return shape;
}

void normalizeShape(ModelShape& shape) {
    const LayoutRules* rules = registryRules(shape.architecture);
    if (!rules || !shape.layoutJson.empty() || (!rules->multiQuery && !rules->mla)) {
        return;
    }
    const Json document = Json::parse(shape.configJson, nullptr, false);
    if (document.is_discarded() || !document.is_object()) {
        return;
    }
    const Json& config = textConfig(document);
    if (rules->mla) {
        latentSizes(config, {}, shape);
        return;
    }
    const auto flag = config.find("multi_query");
    const auto grouped = config.find("new_decoder_architecture");
    const bool isGrouped = grouped != config.end() && grouped->is_boolean() && grouped->get<bool>();
    if (!isGrouped && flag != config.end() && flag->is_boolean()) {
        shape.numKvHeads = flag->get<bool>() ? 1 : shape.numHeads;
    }
}

std::string languageConfig(const std::string& configJson) {
    const Json document = Json::parse(configJson, nullptr, false);
    if (document.is_discarded() || !document.is_object() || &textConfig(document) == &document) {
        return configJson;
    }
    Json inner = textConfig(document);
    // What the whole model says of its weights holds for this part.
    for (const char* key : {"quantization_config", "tie_word_embeddings"}) {
        if (document.contains(key) && !inner.contains(key)) {
            inner[key] = document[key];
        }
    }
    return inner.dump();
}

std::int64_t configInteger(const ModelShape& shape, const std::string& key) {
    const Json document = Json::parse(shape.configJson, nullptr, false);
    if (document.is_discarded() || !document.is_object()) {
        return 0;
    }
    const Json& config = textConfig(document);
    const auto it = config.find(key);
    if (it == config.end() || !it->is_number_integer()) {
        return 0;
    }
    const auto value = it->get<std::int64_t>();
    return value > 0 && value <= widest ? value : 0;
}

std::string readLayoutFile(const std::filesystem::path& file) {
    std::string text = readText(file, largestText);
    try {
        parseLayout(text);
    } catch (const InputError& e) {
        throw InputError(e.problem(), file, e.innerPath(), e.advice());
    }
    return text;
}

} // namespace qkov::model
