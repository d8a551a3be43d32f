// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/LayoutDraft.h"

#include "base/Error.h"
#include "model/LayoutRules.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

namespace qkov::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view layerWord = "{layer}";
constexpr std::string_view layerGroup = "(\\d+)";

bool isWord(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

/// The pattern that an expression of ours came from; others stay expressions, anchored so that
/// they are told from patterns.
std::string patternFrom(const std::string& expression) {
    std::string_view rest = expression;
    const bool anchored = rest.starts_with('^') && rest.ends_with('$');
    if (anchored) {
        rest = rest.substr(1, rest.size() - 2);
        std::string pattern;
        bool plain = true;
        while (plain && !rest.empty()) {
            if (rest.starts_with(layerGroup)) {
                pattern += layerWord;
                rest.remove_prefix(layerGroup.size());
            } else if (rest.starts_with(".*")) {
                pattern += '*';
                rest.remove_prefix(2);
            } else if (rest.front() == '\\' && rest.size() > 1 && !isWord(rest[1]) &&
                       rest[1] != '{' && rest[1] != '*') {
                pattern += rest[1];
                rest.remove_prefix(2);
            } else if (isWord(rest.front())) {
                pattern += rest.front();
                rest.remove_prefix(1);
            } else {
                plain = false;
            }
        }
        if (plain && !pattern.empty()) {
            return pattern;
        }
    }
    return expression.starts_with('^') ? expression : "^.*?(?:" + expression + ")";
}

Json toJson(const LayoutPart& part) {
    Json j{{"parameter", patternExpression(part.pattern)}};
    if (!part.bias.empty()) {
        j["bias"] = patternExpression(part.bias);
    }
    j["orientation"] = part.inOut ? "in_out" : "out_in";
    return j;
}

LayoutPart partFrom(const Json& j) {
    LayoutPart part;
    part.pattern = patternFrom(j.at("parameter").get<std::string>());
    const std::string bias = j.value("bias", std::string());
    part.bias = bias.empty() ? bias : patternFrom(bias);
    part.inOut = j.at("orientation") == "in_out";
    return part;
}

} // namespace

bool LayoutDraft::isFused(Block block) const {
    return std::find(fusedBlocks.begin(), fusedBlocks.end(), block) != fusedBlocks.end();
}

const LayoutPart& LayoutDraft::partOf(Block block) const {
    return isFused(block) ? fused : parts[blockIndex(block)];
}

std::string patternExpression(const std::string& pattern) {
    std::string expression;
    if (pattern.starts_with('^')) {
        expression = pattern;
    } else {
        expression = "^";
        std::string_view rest = pattern;
        int layers = 0;
        while (!rest.empty()) {
            if (rest.starts_with(layerWord)) {
                expression += layerGroup;
                rest.remove_prefix(layerWord.size());
                ++layers;
                continue;
            }
            if (rest.front() == '*') {
                expression += ".*";
            } else {
                if (!isWord(rest.front())) {
                    expression += '\\';
                }
                expression += rest.front();
            }
            rest.remove_prefix(1);
        }
        expression += '$';
        if (layers != 1) {
            throw InputError(layers == 0 ? "write {layer} where the layer's number stands"
                                         : "{layer} may stand only once");
        }
    }
    const LayerPattern checked(expression);
    return expression;
}

std::string patternOf(const std::string& name) {
    std::optional<std::pair<std::size_t, std::size_t>> first; // position, length
    for (std::size_t i = 0; i < name.size();) {
        if (std::isdigit(static_cast<unsigned char>(name[i])) == 0) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) {
            ++end;
        }
        const bool alone =
            (i == 0 || name[i - 1] == '.') && (end == name.size() || name[end] == '.');
        if (alone) {
            first = {i, end - i};
            break;
        }
        if (!first) {
            first = {i, end - i};
        }
        i = end;
    }
    std::string pattern = name;
    if (!first) {
        return {};
    }
    return pattern.replace(first->first, first->second, layerWord);
}

std::string toLayoutJson(const LayoutDraft& draft) {
    Json j{{"name", draft.name}};
    if (!draft.fusedBlocks.empty() && !draft.fused.pattern.empty()) {
        Json fused = toJson(draft.fused);
        static constexpr const char* orders[] = {"concatenated", "per_head", "per_kv_group"};
        fused["order"] = orders[static_cast<std::size_t>(draft.order)];
        if (draft.fusedBlocks != std::vector{Block::Q, Block::K, Block::V}) {
            Json blocks = Json::array();
            for (const Block block : draft.fusedBlocks) {
                blocks.push_back(std::string(1, blockName(block)));
            }
            fused["blocks"] = std::move(blocks);
        }
        if (!draft.keySize.empty()) {
            fused["key_size"] = draft.keySize;
        }
        j["fused"] = std::move(fused);
    }
    for (const Block block : allBlocks) {
        const LayoutPart& part = draft.parts[blockIndex(block)];
        if (!draft.isFused(block) && !part.pattern.empty()) {
            j[std::string(1, blockName(block))] = toJson(part);
        }
    }
    std::string text = j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
    parseLayout(text);
    return text;
}

LayoutDraft draftOf(const std::string& layoutJson) {
    parseLayout(layoutJson);
    const Json j = Json::parse(layoutJson);
    LayoutDraft draft;
    draft.name = j.value("name", std::string());
    if (const auto fused = j.find("fused"); fused != j.end()) {
        draft.fused = partFrom(*fused);
        const std::string order = fused->at("order").get<std::string>();
        draft.order = order == "per_head"       ? FusedOrder::perHead
                      : order == "per_kv_group" ? FusedOrder::perKvGroup
                                                : FusedOrder::concatenated;
        draft.keySize = fused->value("key_size", std::string());
        draft.fusedBlocks = {Block::Q, Block::K, Block::V};
        if (const auto blocks = fused->find("blocks"); blocks != fused->end()) {
            draft.fusedBlocks.clear();
            for (const auto& name : *blocks) {
                draft.fusedBlocks.push_back(
                    allBlocks[std::string("QKV").find(name.get<std::string>())]);
            }
        }
    }
    for (const Block block : allBlocks) {
        if (const auto part = j.find(std::string(1, blockName(block))); part != j.end()) {
            draft.parts[blockIndex(block)] = partFrom(*part);
        }
    }
    return draft;
}

std::string shapeText(const std::vector<std::int64_t>& shape) {
    std::string s = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        s += (i ? ", " : "") + (shape[i] == 0 ? std::string("any") : std::to_string(shape[i]));
    }
    return s + "]";
}

} // namespace qkov::model
