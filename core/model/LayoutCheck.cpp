// SPDX-License-Identifier: GPL-3.0-or-later
// What a draft of a layout matches. Shapes are judged by HeadLayout itself, so that what fits here
// fits when the file is used.
#include "model/LayoutDraft.h"

#include "base/Error.h"
#include "model/LayoutRules.h"

#include <algorithm>
#include <map>
#include <set>

namespace qkov::model {
namespace {

/// One part of the draft, with its patterns compiled.
struct Rule {
    const LayoutPart* part = nullptr;
    LayoutCheck::Part* result = nullptr;
    std::vector<Block> blocks;
    LayerPattern weight, bias;
    std::set<std::int64_t> layers; ///< with a matrix
    std::string words() const {
        std::string s;
        for (const Block block : blocks) {
            s += (s.empty() ? "" : ", ") + std::string(1, blockName(block));
        }
        return s;
    }
};

std::string layersText(std::int64_t first, std::int64_t last) {
    return first == last ? "layer " + std::to_string(first)
                         : "layers " + std::to_string(first) + "-" + std::to_string(last);
}

std::vector<Rule> compile(const LayoutDraft& draft, LayoutCheck& check) {
    std::vector<Rule> rules;
    const auto add = [&](const LayoutPart& part, LayoutCheck::Part& result,
                         std::vector<Block> blocks) {
        Rule rule{&part, &result, std::move(blocks), {}, {}, {}};
        if (part.pattern.empty()) {
            return;
        }
        try {
            rule.weight = LayerPattern(patternExpression(part.pattern));
            if (!part.bias.empty()) {
                rule.bias = LayerPattern(patternExpression(part.bias));
            }
            rules.push_back(std::move(rule));
        } catch (const InputError& e) {
            result.problem = e.problem();
        }
    };
    if (!draft.fusedBlocks.empty()) {
        add(draft.fused, check.fused, draft.fusedBlocks);
    }
    for (const Block block : allBlocks) {
        if (!draft.isFused(block)) {
            add(draft.parts[blockIndex(block)], check.parts[blockIndex(block)], {block});
        }
    }
    return rules;
}

void say(LayoutCheck::Part& part, const std::string& problem) {
    if (part.problem.empty()) {
        part.problem = problem;
    }
}

/// The draft with only the rules that work, for HeadLayout.
std::string workingJson(const LayoutDraft& draft, const LayoutCheck& check) {
    LayoutDraft working = draft;
    if (!check.fused.problem.empty()) {
        working.fused.pattern.clear();
    }
    for (const Block block : allBlocks) {
        if (!check.parts[blockIndex(block)].problem.empty()) {
            working.parts[blockIndex(block)].pattern.clear();
        }
    }
    return toLayoutJson(working);
}

std::vector<std::string> gapsOf(const std::vector<Rule>& rules, std::int64_t layers) {
    std::vector<std::string> gaps;
    const auto lacking = [&](std::int64_t layer) {
        std::array<bool, 4> there{};
        for (const Rule& rule : rules) {
            if (rule.layers.contains(layer)) {
                for (const Block block : rule.blocks) {
                    there[blockIndex(block)] = true;
                }
            }
        }
        std::string s;
        for (const Block block : allBlocks) {
            if (!there[blockIndex(block)]) {
                s += (s.empty() ? "" : ", ") + std::string(1, blockName(block));
            }
        }
        return s;
    };
    std::int64_t first = 0;
    std::string words = lacking(0);
    for (std::int64_t l = 1; l <= layers; ++l) {
        const std::string next = l < layers ? lacking(l) : std::string("\n");
        if (next != words) {
            if (!words.empty()) {
                gaps.push_back(layersText(first, l - 1) + ": no " + words);
            }
            first = l;
            words = next;
        }
    }
    return gaps;
}

/// Expected shapes of all matches. @throws InputError nothing can be placed
void judge(const LayoutDraft& draft, const ModelShape& shape,
           const std::vector<NamedShape>& parameters, const std::vector<std::string>& names,
           LayoutCheck& check) {
    ModelShape judged = shape;
    judged.layoutJson = workingJson(draft, check);
    const HeadLayout layout(judged, names);
    for (LayoutCheck::Match& m : check.matches) {
        const NamedShape& p = parameters[m.parameter];
        m.expected = layout.expectedShape(p.name);
        try {
            layout.checkShape(p.name, p.shape, {});
            m.fits = !m.expected.empty();
        } catch (const InputError&) {
            m.fits = false;
        }
    }
}

} // namespace

LayoutCheck checkLayout(const LayoutDraft& draft, const ModelShape& shape,
                        const std::vector<NamedShape>& parameters) {
    LayoutCheck check;
    std::vector<Rule> rules = compile(draft, check);
    std::map<std::pair<const Rule*, std::pair<std::int64_t, bool>>, std::string> taken;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::string& name = parameters[i].name;
        const Rule* owner = nullptr;
        for (Rule& rule : rules) {
            const auto weight = rule.weight.layerOf(name);
            const auto layer = weight ? weight : rule.bias.layerOf(name);
            if (!layer) {
                continue;
            }
            if (owner) {
                say(*rule.result, "also matches " + name + ", which is " + owner->words());
                break;
            }
            owner = &rule;
            if (*layer >= shape.numLayers) {
                say(*rule.result, "matches " + name + ", but the model has " +
                                      std::to_string(shape.numLayers) + " layers");
                continue;
            }
            const auto [at, fresh] =
                taken.emplace(std::pair(&rule, std::pair(*layer, !weight)), name);
            if (!fresh) {
                say(*rule.result, "matches " + at->second + " and " + name + ", both of layer " +
                                      std::to_string(*layer));
                continue;
            }
            (weight ? rule.result->matrices : rule.result->biases) += 1;
            if (weight) {
                rule.layers.insert(*layer);
            }
            names.push_back(name);
            check.matches.push_back({i, rule.blocks, LayerIndex(*layer), !weight, {}, false});
        }
    }
    for (Rule& rule : rules) {
        if (rule.layers.empty()) {
            say(*rule.result, "matches no parameter");
        }
    }

    // A fused order that doesn't go with the head counts leaves the other parts to be judged.
    std::string unplaced;
    for (bool again = true; again;) {
        again = false;
        try {
            judge(draft, shape, parameters, names, check);
        } catch (const InputError& e) {
            again = check.fused.problem.empty() && check.fused.matrices > 0;
            if (again) {
                say(check.fused, e.problem());
            } else {
                unplaced = e.problem();
            }
        }
    }
    for (const LayoutCheck::Match& m : check.matches) {
        LayoutCheck::Part& part = draft.isFused(m.blocks.front())
                                      ? check.fused
                                      : check.parts[blockIndex(m.blocks.front())];
        if (m.fits || m.expected.empty()) {
            continue;
        }
        if (part.wrong++ == 0) {
            const NamedShape& p = parameters[m.parameter];
            say(part, "matches " + p.name + " with shape " + shapeText(p.shape) +
                          "; the heads need " + shapeText(m.expected));
        }
    }

    const auto report = [&](const LayoutCheck::Part& part, const std::string& name) {
        if (!part.problem.empty()) {
            check.problems.push_back(name + ": " + part.problem);
        }
    };
    std::string fusedName;
    for (const Block block : draft.fusedBlocks) {
        fusedName += (fusedName.empty() ? "" : ", ") + std::string(1, blockName(block));
    }
    report(check.fused, fusedName);
    for (const Block block : allBlocks) {
        report(check.parts[blockIndex(block)], std::string(1, blockName(block)));
    }
    if (check.problems.empty() && check.matches.empty()) {
        check.problems.emplace_back("no parameter is assigned yet");
    }
    if (check.problems.empty() && !unplaced.empty()) {
        check.problems.push_back(unplaced);
    }
    check.gaps = gapsOf(rules, shape.numLayers);
    return check;
}

std::string layoutProblem(const ModelShape& shape, const std::vector<NamedShape>& parameters,
                          bool whole) {
    std::vector<std::string> names;
    std::map<std::string, const NamedShape*> byName;
    for (const NamedShape& p : parameters) {
        names.push_back(p.name);
        byName[p.name] = &p;
    }
    try {
        const HeadLayout layout(shape, names);
        if (layout.parameters().empty()) {
            return "none of its " + std::to_string(names.size()) +
                   " parameters has a name that attention weights have in " + shape.architecture +
                   " models";
        }
        for (const ParameterInfo& info : layout.parameters()) {
            for (const std::string& name : {info.name, info.bias}) {
                if (const auto at = byName.find(name); at != byName.end()) {
                    layout.checkShape(name, at->second->shape, {});
                }
            }
        }
        for (std::int64_t l = 0; whole && l < shape.numLayers; ++l) {
            for (const Block block : allBlocks) {
                if (!layout.find(block, LayerIndex(l))) {
                    return "layer " + std::to_string(l) + " has no " +
                           std::string(1, blockName(block)) + " projection under a name that " +
                           shape.architecture + " models use";
                }
            }
        }
    } catch (const InputError& e) {
        return (e.innerPath().empty() ? "" : e.innerPath() + " ") + e.problem();
    }
    return {};
}

} // namespace qkov::model
