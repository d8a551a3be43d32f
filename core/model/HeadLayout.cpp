// SPDX-License-Identifier: GPL-3.0-or-later
// Where the heads are, per architecture: read from the public modeling sources of transformers.
#include "model/HeadLayout.h"

#include "base/Error.h"
#include "model/LayoutRules.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace qkov::model {
namespace {

/// Where one block of a matrix lies along the head axis.
struct Span {
    std::int64_t first = 0;    ///< start of head (or kv head) 0
    std::int64_t stride = 0;   ///< from one head (or kv head) to the next
    std::int64_t length = 0;   ///< of one head
    std::int64_t perGroup = 0; ///< Q in perKvGroup: queries inside one kv head's stride, else 0
    bool byKvHead = false;
};

struct Placement {
    std::array<std::optional<Span>, 4> spans;
    std::int64_t headAxisLength = 0;
    std::int64_t otherAxisLength = 0;
};

bool isKv(Block block) {
    return block == Block::K || block == Block::V;
}

/// Sizes are at most 2^24 each and heads 2^20: products stay far below 2^63.
Placement place(const ProjectionRule& rule, const LayoutRules& rules, const ModelShape& shape) {
    std::array<std::int64_t, 4> size{shape.headDim, shape.headDim, shape.vHeadDim, shape.vHeadDim};
    if (!rule.keySize.empty()) {
        size[blockIndex(Block::K)] = configInteger(shape, rule.keySize);
        if (size[blockIndex(Block::K)] < 1) {
            throw InputError("the model's config lacks " + rule.keySize +
                             ", without which the heads of K can't be found");
        }
    }
    Placement p;
    if (rule.order == FusedOrder::perHead && shape.numKvHeads != shape.numHeads) {
        throw InputError("the layout interleaves Q, K and V per head, but the model has " +
                         std::to_string(shape.numHeads) + " heads and " +
                         std::to_string(shape.numKvHeads) + " key/value heads");
    }
    const std::int64_t queries = shape.queriesPerKv();
    std::int64_t at = 0;
    for (const Block block : rule.blocks) {
        const std::int64_t d = size[blockIndex(block)];
        Span span;
        span.first = at;
        span.length = d;
        span.byKvHead = isKv(block);
        if (rule.order == FusedOrder::concatenated) {
            span.stride = d;
            at += d * (isKv(block) ? shape.numKvHeads : shape.numHeads);
        } else if (rule.order == FusedOrder::perKvGroup && block == Block::Q) {
            span.perGroup = queries;
            at += d * queries;
        } else {
            at += d;
        }
        p.spans[blockIndex(block)] = span;
    }
    p.headAxisLength = at;
    if (rule.order != FusedOrder::concatenated) {
        p.headAxisLength = at * shape.numKvHeads;
        for (auto& span : p.spans) {
            if (span) {
                span->stride = at;
            }
        }
    }
    if (!rules.user) {
        const std::int64_t input = rule.input.empty() ? 0 : configInteger(shape, rule.input);
        p.otherAxisLength = input > 0 ? input : shape.hiddenDim;
    }
    return p;
}

std::int64_t startOf(const Span& span, std::int64_t head, std::int64_t kvHead) {
    if (span.perGroup > 0) {
        return span.first + kvHead * span.stride + (head % span.perGroup) * span.length;
    }
    return span.first + (span.byKvHead ? kvHead : head) * span.stride;
}

} // namespace

struct HeadLayout::Data {
    ModelShape shape;
    std::vector<Placement> placements; ///< per rule
    std::vector<ParameterInfo> parameters;
    std::vector<std::size_t> rule;                         ///< per parameter
    std::unordered_map<std::string, std::size_t> byName;   ///< weights
    std::unordered_map<std::string, std::size_t> byBias;   ///< → its weight
    std::unordered_map<std::int64_t, std::size_t> byPlace; ///< layer * 4 + block
    std::vector<std::string> beyond;
};

namespace {

/// A user's patterns may overlap; a matrix that is both Q and K would be scored as one of them.
void checkOnlyRule(const LayoutRules& rules, std::size_t rule, const std::string& name) {
    for (std::size_t s = rule + 1; rules.user && s < rules.projections.size(); ++s) {
        const ProjectionRule& other = rules.projections[s];
        if (other.parameter.layerOf(name) || other.bias.layerOf(name)) {
            const auto blocks = [](const ProjectionRule& r) {
                std::string text;
                for (const Block b : r.blocks) {
                    text += blockName(b);
                }
                return text;
            };
            throw InputError("layout: \"" + name + "\" matches the patterns of " +
                             blocks(rules.projections[rule]) + " and of " + blocks(other));
        }
    }
}

} // namespace

HeadLayout::HeadLayout(const ModelShape& shape, const std::vector<std::string>& names) {
    auto data = std::make_shared<Data>();
    data->shape = shape;
    LayoutRules own;
    const LayoutRules* rules = nullptr;
    if (!shape.layoutJson.empty()) {
        own = parseLayout(shape.layoutJson);
        rules = &own;
    } else {
        rules = registryRules(shape.architecture);
    }
    if (!rules) {
        std::string known;
        for (const std::string& name : knownArchitectures()) {
            known += (known.empty() ? "" : ", ") + name;
        }
        throw InputError("unknown architecture \"" + shape.architecture + "\" (known: " + known +
                             ")",
                         {}, {}, "give a layout file");
    }
    for (const ProjectionRule& rule : rules->projections) {
        data->placements.push_back(place(rule, *rules, shape));
    }

    struct Found {
        std::size_t rule;
        std::string weight, bias;
    };
    std::map<std::pair<std::int64_t, std::size_t>, Found> found; // layer, rule
    for (const std::string& name : names) {
        for (std::size_t r = 0; r < rules->projections.size(); ++r) {
            const ProjectionRule& rule = rules->projections[r];
            const bool isBias = !rule.parameter.layerOf(name);
            const auto layer = isBias ? rule.bias.layerOf(name) : rule.parameter.layerOf(name);
            if (!layer) {
                continue;
            }
            if (*layer >= shape.numLayers) {
                data->beyond.push_back(name);
                break;
            }
            Found& f = found[{*layer, r}];
            f.rule = r;
            std::string& slot = isBias ? f.bias : f.weight;
            if (!slot.empty() && slot != name) {
                throw InputError("\"" + slot + "\" and \"" + name +
                                 "\" are both the same matrix of layer " + std::to_string(*layer));
            }
            slot = name;
            checkOnlyRule(*rules, r, name);
            break;
        }
    }
    for (const auto& [key, f] : found) {
        if (f.weight.empty()) {
            continue; // a bias alone has no block to belong to
        }
        const ProjectionRule& rule = rules->projections[f.rule];
        const Placement& p = data->placements[f.rule];
        ParameterInfo info;
        info.name = f.weight;
        info.bias = f.bias;
        info.layer = LayerIndex(key.first);
        info.blocks = rule.blocks;
        info.inOut = rule.inOut;
        info.headAxisLength = p.headAxisLength;
        info.otherAxisLength = p.otherAxisLength;
        // Q, K, V: heads are outputs. O: heads are inputs.
        const bool outputs = rule.blocks.front() != Block::O;
        info.headAxis = outputs == rule.inOut ? Axis::columns : Axis::rows;
        data->parameters.push_back(std::move(info));
        data->rule.push_back(f.rule);
    }
    // `found` is ordered by layer, then rule; rules may come in any order of blocks.
    std::vector<std::size_t> order(data->parameters.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const ParameterInfo& x = data->parameters[a];
        const ParameterInfo& y = data->parameters[b];
        return std::pair(x.layer, x.blocks.front()) < std::pair(y.layer, y.blocks.front());
    });
    std::vector<ParameterInfo> sorted;
    std::vector<std::size_t> ruleOf;
    for (const std::size_t i : order) {
        sorted.push_back(std::move(data->parameters[i]));
        ruleOf.push_back(data->rule[i]);
    }
    data->parameters = std::move(sorted);
    data->rule = std::move(ruleOf);
    for (std::size_t i = 0; i < data->parameters.size(); ++i) {
        const ParameterInfo& info = data->parameters[i];
        data->byName.emplace(info.name, i);
        if (!info.bias.empty()) {
            data->byBias.emplace(info.bias, i);
        }
        for (const Block block : info.blocks) {
            data->byPlace.emplace(
                info.layer.value * 4 + static_cast<std::int64_t>(blockIndex(block)), i);
        }
    }
    m_data = std::move(data);
}

const ModelShape& HeadLayout::shape() const {
    return m_data->shape;
}

const std::vector<ParameterInfo>& HeadLayout::parameters() const {
    return m_data->parameters;
}

const std::vector<std::string>& HeadLayout::beyondLayers() const {
    return m_data->beyond;
}

const ParameterInfo* HeadLayout::find(const std::string& name) const {
    const auto it = m_data->byName.find(name);
    return it == m_data->byName.end() ? nullptr : &m_data->parameters[it->second];
}

const ParameterInfo* HeadLayout::find(Block block, LayerIndex layer) const {
    const auto it =
        m_data->byPlace.find(layer.value * 4 + static_cast<std::int64_t>(blockIndex(block)));
    return it == m_data->byPlace.end() ? nullptr : &m_data->parameters[it->second];
}

const ParameterInfo* HeadLayout::findByBias(const std::string& biasName) const {
    const auto it = m_data->byBias.find(biasName);
    return it == m_data->byBias.end() ? nullptr : &m_data->parameters[it->second];
}

std::optional<HeadSlice> HeadLayout::slice(Block block, LayerIndex layer, HeadIndex head) const {
    const ModelShape& shape = m_data->shape;
    if (layer.value < 0 || layer.value >= shape.numLayers || head.value < 0 ||
        head.value >= shape.numHeads) {
        return std::nullopt;
    }
    const ParameterInfo* info = find(block, layer);
    if (!info) {
        return std::nullopt;
    }
    const auto index = static_cast<std::size_t>(info - m_data->parameters.data());
    const auto& span = m_data->placements[m_data->rule[index]].spans[blockIndex(block)];
    HeadSlice slice;
    slice.parameter = info->name;
    slice.axis = info->headAxis;
    slice.start = startOf(*span, head.value, shape.kvHead(head.value));
    slice.length = span->length;
    return slice;
}

std::optional<HeadSlice> HeadLayout::biasSlice(Block block, LayerIndex layer,
                                               HeadIndex head) const {
    const ParameterInfo* info = find(block, layer);
    if (block == Block::O || !info || info->bias.empty()) {
        return std::nullopt;
    }
    auto result = slice(block, layer, head);
    if (result) {
        result->parameter = info->bias;
        result->axis = Axis::rows;
    }
    return result;
}

std::vector<std::int64_t> HeadLayout::expectedShape(const std::string& name) const {
    if (const ParameterInfo* info = find(name)) {
        return info->headAxis == Axis::rows
                   ? std::vector<std::int64_t>{info->headAxisLength, info->otherAxisLength}
                   : std::vector<std::int64_t>{info->otherAxisLength, info->headAxisLength};
    }
    if (const ParameterInfo* info = findByBias(name)) {
        // O's bias is as long as its output, the axis that has no heads.
        return {info->blocks.front() == Block::O ? info->otherAxisLength : info->headAxisLength};
    }
    return {};
}

void HeadLayout::checkShape(const std::string& name, const std::vector<std::int64_t>& dims,
                            const std::string& file) const {
    const std::vector<std::int64_t> expected = expectedShape(name);
    if (expected.empty()) {
        return;
    }
    bool same = dims.size() == expected.size();
    for (std::size_t i = 0; same && i < dims.size(); ++i) {
        same = expected[i] == 0 ? dims[i] > 0 : dims[i] == expected[i];
    }
    if (same) {
        return;
    }
    const ModelShape& s = m_data->shape;
    throw InputError(
        "has shape " + shapeText(dims) + ", but " + std::to_string(s.numHeads) + " heads (" +
            std::to_string(s.numKvHeads) + " for keys and values) of " + std::to_string(s.headDim) +
            (s.vHeadDim != s.headDim ? " (values: " + std::to_string(s.vHeadDim) + ")" : "") +
            " and hidden size " + std::to_string(s.hiddenDim) + " give " + shapeText(expected),
        file, name);
}

} // namespace qkov::model
