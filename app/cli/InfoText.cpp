// SPDX-License-Identifier: GPL-3.0-or-later
#include "InfoText.h"

#include "Session.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

namespace qkov::cli {
namespace {

using nlohmann::json;

const char* storageName(dump::Storage s) {
    switch (s) {
    case dump::Storage::dense:
        return "dense";
    case dump::Storage::contributions:
        return "contributions";
    case dump::Storage::factored:
        return "factored";
    }
    return "?";
}

const char* resolutionName(dump::Resolution r) {
    switch (r) {
    case dump::Resolution::element:
        return "element";
    case dump::Resolution::head:
        return "head";
    case dump::Resolution::type:
        return "type";
    }
    return "?";
}

/// {0,1,2,5} → "0-2, 5"
std::string ranges(const std::vector<std::int64_t>& numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) {
            ++last;
        }
        text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
        if (last > i) {
            text += "-" + std::to_string(numbers[last]);
        }
        i = last + 1;
    }
    return text;
}

/// One line per block that `has` doesn't have everywhere.
template <class Has>
void blocksLacking(std::int64_t numLayers, const std::string& who, Has has,
                   std::vector<std::string>& lines) {
    for (const Block block : allBlocks) {
        std::vector<std::int64_t> lacking;
        for (std::int64_t l = 0; l < numLayers; ++l) {
            if (!has(block, l)) {
                lacking.push_back(l);
            }
        }
        if (!lacking.empty()) {
            lines.push_back(
                who + "block " + blockName(block) +
                (static_cast<std::int64_t>(lacking.size()) == numLayers
                     ? ", all layers"
                     : (lacking.size() == 1 ? " of layer " : " of layers ") + ranges(lacking)));
        }
    }
}

} // namespace

std::vector<std::string> missingOfLayout(const model::HeadLayout& layout) {
    std::vector<std::string> lines;
    blocksLacking(
        layout.shape().numLayers, "",
        [&](Block block, std::int64_t l) {
            return layout.slice(block, LayerIndex(l), HeadIndex(0)).has_value();
        },
        lines);
    return lines;
}

std::vector<std::string> missingOfDump(const dump::DumpInfo& info,
                                       const model::HeadLayout& layout) {
    std::vector<std::string> lines;
    bool behavioral = true;
    for (const dump::TaskInfo& task : info.tasks) {
        std::set<std::pair<Block, std::int64_t>> present;
        for (const model::ParameterInfo& p : layout.parameters()) {
            if (task.parameters.count(p.name)) {
                for (const Block b : p.blocks) {
                    present.emplace(b, p.layer.value);
                }
            }
        }
        blocksLacking(
            info.model.numLayers, "task " + task.name + ": ",
            [&](Block block, std::int64_t l) {
                return present.count({block, l}) > 0;
            },
            lines);
        behavioral = behavioral && task.fisher.count("behavioral") > 0;
        const bool unsignedOnly =
            std::any_of(task.parameters.begin(), task.parameters.end(), [](const auto& p) {
                return p.second.storage == dump::Storage::contributions;
            });
        if (unsignedOnly) {
            lines.push_back("task " + task.name +
                            ": signs of gradients, so no variant signed or cosine");
        }
        const bool counted = std::any_of(task.samples.begin(), task.samples.end(),
                                         [](const dump::SampleInfo& s) { return s.tokens > 0; });
        if (!counted) {
            lines.push_back("task " + task.name +
                            ": numbers of predicted tokens, so no scaling per token");
        }
        const bool texts = std::any_of(task.samples.begin(), task.samples.end(),
                                       [](const dump::SampleInfo& s) { return !s.text.empty(); });
        if (!texts) {
            lines.push_back("task " + task.name + ": texts of samples");
        }
    }
    if (info.headTypes.names.empty() && !behavioral) {
        lines.emplace_back("head types and behavioral Fisher, so no mode behavioral or hybrid; "
                           "collect with --head-types");
    }
    return lines;
}

std::string describeModel(const model::ModelShape& m) {
    std::string heads = std::to_string(m.numHeads);
    if (m.numKvHeads != m.numHeads) {
        heads += " (" + std::to_string(m.numKvHeads) + " key-value heads)";
    }
    std::string width = std::to_string(m.headDim);
    if (m.vHeadDim != m.headDim) {
        width += " (values " + std::to_string(m.vHeadDim) + ")";
    }
    return table({{"model", m.name.empty() ? "–" : m.name},
                  {"architecture", m.architecture},
                  {"layers", std::to_string(m.numLayers)},
                  {"heads", heads},
                  {"head size", width},
                  {"hidden size", std::to_string(m.hiddenDim)}},
                 {});
}

std::string storageText(const dump::TaskInfo& task) {
    std::set<std::string> kinds;
    for (const auto& [name, p] : task.parameters) {
        kinds.insert(std::string(storageName(p.storage)) + " " + std::string(dtypeName(p.dtype)));
    }
    std::string text;
    for (const std::string& k : kinds) {
        text += (text.empty() ? "" : ", ") + k;
    }
    return text.empty() ? "–" : text;
}

std::string fisherText(const dump::TaskInfo& task) {
    std::string text;
    for (const auto& [name, set] : task.fisher) {
        text += (text.empty() ? "" : ", ") + name + " (" + set.estimator + ")";
    }
    return text.empty() ? "–" : text;
}

std::string describeHeadTypes(const dump::HeadTypes& types) {
    std::vector<std::size_t> counts(types.names.size());
    for (const std::uint8_t t : types.type) {
        if (t < counts.size()) {
            ++counts[t];
        }
    }
    std::string text;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] > 0) {
            text += (text.empty() ? "" : ", ") + std::to_string(counts[i]) + " " + types.names[i];
        }
    }
    return text;
}

json modelJson(const model::ModelShape& m) {
    return {
        {"name", m.name},           {"architecture", m.architecture}, {"num_layers", m.numLayers},
        {"num_heads", m.numHeads},  {"num_kv_heads", m.numKvHeads},   {"head_dim", m.headDim},
        {"v_head_dim", m.vHeadDim}, {"hidden_dim", m.hiddenDim}};
}

json parametersJson(const model::HeadLayout& layout) {
    json list = json::array();
    for (const model::ParameterInfo& p : layout.parameters()) {
        std::string blocks;
        for (const Block b : p.blocks) {
            blocks += blockName(b);
        }
        list.push_back({{"name", p.name},
                        {"layer", p.layer.value},
                        {"blocks", blocks},
                        {"bias", p.bias.empty() ? json(nullptr) : json(p.bias)},
                        {"orientation", p.inOut ? "in_out" : "out_in"},
                        {"heads_along", p.headAxis == model::Axis::rows ? "rows" : "columns"}});
    }
    return list;
}

json taskJson(const dump::TaskInfo& task) {
    json ids = json::array();
    for (const dump::SampleInfo& s : task.samples) {
        ids.push_back(s.id);
    }
    json fisher = json::array();
    for (const auto& [name, set] : task.fisher) {
        std::set<std::string> resolutions;
        for (const auto& [parameter, entry] : set.parameters) {
            resolutions.insert(resolutionName(entry.resolution));
        }
        fisher.push_back({{"set", name},
                          {"estimator", set.estimator},
                          {"n_samples", set.samples},
                          {"decay", set.decay},
                          {"bias_corrected", set.biasCorrected},
                          {"resolution", resolutions},
                          {"parameters", set.parameters.size()}});
    }
    json parameters = json::array();
    for (const auto& [name, p] : task.parameters) {
        parameters.push_back({{"name", name},
                              {"shape", p.shape},
                              {"storage", storageName(p.storage)},
                              {"dtype", std::string(dtypeName(p.dtype))}});
    }
    return {{"name", task.name},
            {"n_samples", task.samples.size()},
            {"samples", std::move(ids)},
            {"loss_reduction", task.lossReduction},
            {"parameters", std::move(parameters)},
            {"fisher", std::move(fisher)}};
}

json headTypesJson(const dump::HeadTypes& types, const model::ModelShape& m) {
    if (types.names.empty()) {
        return nullptr;
    }
    json rows = json::array();
    for (std::int64_t l = 0; l < m.numLayers; ++l) {
        json row = json::array();
        for (std::int64_t h = 0; h < m.numHeads; ++h) {
            const auto at = static_cast<std::size_t>(l * m.numHeads + h);
            row.push_back(at < types.type.size() && types.type[at] < types.names.size()
                              ? json(types.names[types.type[at]])
                              : json(nullptr));
        }
        rows.push_back(std::move(row));
    }
    return {{"names", types.names}, {"type", std::move(rows)}};
}

} // namespace qkov::cli
