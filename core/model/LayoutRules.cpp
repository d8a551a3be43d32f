// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/LayoutRules.h"

#include "base/Error.h"
#include "model/HeadLayout.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace qkov::model {

extern const char* const registryText;

namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& problem) {
    throw InputError("layout: " + where + " " + problem);
}

std::string text(const Json& object, const char* key, const std::string& where) {
    const auto it = object.find(key);
    if (it == object.end()) {
        return {};
    }
    if (!it->is_string()) {
        fail(where + "." + key, "is not a string");
    }
    return it->get<std::string>();
}

bool isInOut(const Json& object, const std::string& where) {
    const std::string value = text(object, "orientation", where);
    if (value != "out_in" && value != "in_out") {
        fail(where + ".orientation", "must be out_in or in_out");
    }
    return value == "in_out";
}

FusedOrder orderOf(const Json& object, const std::string& where) {
    const std::string value = text(object, "order", where);
    if (value == "concatenated") {
        return FusedOrder::concatenated;
    }
    if (value == "per_head") {
        return FusedOrder::perHead;
    }
    if (value == "per_kv_group") {
        return FusedOrder::perKvGroup;
    }
    fail(where + ".order", "must be concatenated, per_head or per_kv_group");
}

std::vector<Block> blocksOf(const Json& object, const std::string& where) {
    const auto it = object.find("blocks");
    if (it == object.end()) {
        return {Block::Q, Block::K, Block::V};
    }
    std::vector<Block> blocks;
    for (const Json& item : *it) {
        const std::string name = item.is_string() ? item.get<std::string>() : std::string();
        const std::size_t at = name.size() == 1 ? std::string("QKV").find(name) : std::string::npos;
        if (at == std::string::npos || (!blocks.empty() && allBlocks[at] <= blocks.back())) {
            fail(where + ".blocks", "must list Q, K and V at most once, in that order");
        }
        blocks.push_back(allBlocks[at]);
    }
    if (blocks.empty()) {
        fail(where + ".blocks", "is empty");
    }
    return blocks;
}

ProjectionRule parseProjection(const Json& object, const std::string& where,
                               std::vector<Block> blocks) {
    if (!object.is_object()) {
        fail(where, "is not an object");
    }
    ProjectionRule rule;
    rule.blocks = std::move(blocks);
    const std::string parameter = text(object, "parameter", where);
    if (parameter.empty()) {
        fail(where + ".parameter", "is missing");
    }
    rule.parameter = LayerPattern(parameter);
    const std::string bias = text(object, "bias", where);
    if (!bias.empty()) {
        rule.bias = LayerPattern(bias);
    }
    rule.inOut = isInOut(object, where);
    rule.keySize = text(object, "key_size", where);
    rule.input = text(object, "input", where);
    return rule;
}

LayoutRules parseRules(const Json& object) {
    LayoutRules rules;
    const auto fused = object.find("fused");
    if (fused != object.end()) {
        if (!fused->is_object()) {
            fail("fused", "is not an object");
        }
        auto rule = parseProjection(*fused, "fused", blocksOf(*fused, "fused"));
        rule.order = orderOf(*fused, "fused");
        rules.projections.push_back(std::move(rule));
    }
    for (const Block block : allBlocks) {
        const std::string key(1, blockName(block));
        const auto it = object.find(key);
        if (it == object.end()) {
            continue;
        }
        for (const ProjectionRule& other : rules.projections) {
            if (std::find(other.blocks.begin(), other.blocks.end(), block) != other.blocks.end()) {
                fail(key, "is already part of fused");
            }
        }
        rules.projections.push_back(parseProjection(*it, key, {block}));
    }
    if (rules.projections.empty()) {
        fail("it", "names no parameter: give \"fused\" or \"Q\", \"K\", \"V\", and \"O\"");
    }
    return rules;
}

std::vector<LayoutRules> parseRegistry() {
    std::vector<LayoutRules> all;
    const Json document = Json::parse(registryText);
    for (const Json& entry : document.at("architectures")) {
        LayoutRules rules = parseRules(entry);
        rules.names = entry.at("names").get<std::vector<std::string>>();
        rules.multiQuery = entry.value("multi_query", false);
        rules.mla = entry.value("mla", false);
        if (entry.contains("defaults")) {
            rules.defaults = entry["defaults"].get<std::map<std::string, std::int64_t>>();
        }
        all.push_back(std::move(rules));
    }
    return all;
}

const std::vector<LayoutRules>& registry() {
    static const std::vector<LayoutRules> rules = parseRegistry();
    return rules;
}

} // namespace

const LayoutRules* registryRules(const std::string& architecture) {
    for (const LayoutRules& rules : registry()) {
        if (std::find(rules.names.begin(), rules.names.end(), architecture) != rules.names.end()) {
            return &rules;
        }
    }
    return nullptr;
}

LayoutRules parseLayout(const std::string& json) {
    const Json document = Json::parse(json, nullptr, false);
    if (document.is_discarded() || !document.is_object()) {
        fail("it", "is not a JSON object");
    }
    LayoutRules rules = parseRules(document);
    rules.names = {text(document, "name", "it")};
    rules.user = true;
    return rules;
}

std::vector<std::string> knownArchitectures() {
    std::vector<std::string> names;
    for (const LayoutRules& rules : registry()) {
        names.insert(names.end(), rules.names.begin(), rules.names.end());
    }
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace qkov::model
