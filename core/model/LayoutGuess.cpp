// SPDX-License-Identifier: GPL-3.0-or-later
// A first layout from names and shapes. Parameters that differ only in one number form a family;
// each block takes the family whose name and shape speak for it best.
#include "model/LayoutDraft.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

namespace qkov::model {
namespace {

enum Role : std::size_t { roleQ, roleK, roleV, roleO, roleQkv, roleKv, roles };

struct Family {
    std::string pattern;
    std::vector<std::int64_t> shape; ///< [rows, columns] of its first layer
    std::set<std::int64_t> layers;
    std::vector<std::string> parts; ///< of its name between dots, without the layer and "weight"
};

std::string lower(std::string s) {
    std::transform(s.begin(), s.end(), s.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return s;
}

std::vector<std::string> split(const std::string& text, const char* at) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i <= text.size();) {
        const std::size_t end = std::min(text.find_first_of(at, i), text.size());
        if (end > i) {
            parts.push_back(text.substr(i, end - i));
        }
        i = end + 1;
    }
    return parts;
}

bool holdsAny(const std::string& text, std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const char* w) { return text.find(w) != std::string::npos; });
}

bool isAny(const std::string& text, std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(), [&](const char* w) { return text == w; });
}

/// 2-D weights by family: every number in a name is tried as the layer's.
std::vector<Family> familiesOf(const std::vector<NamedShape>& parameters, std::int64_t layers) {
    std::map<std::string, Family> found;
    for (const NamedShape& p : parameters) {
        if (p.shape.size() != 2 || p.name.size() > 1024) {
            continue;
        }
        for (std::size_t i = 0; i < p.name.size();) {
            std::size_t end = i;
            while (end < p.name.size() && std::isdigit(static_cast<unsigned char>(p.name[end]))) {
                ++end;
            }
            if (end == i) {
                ++i;
                continue;
            }
            if (end - i <= 6) {
                const std::int64_t layer = std::stol(p.name.substr(i, end - i));
                std::string pattern = p.name;
                pattern.replace(i, end - i, "{layer}");
                Family& f = found[pattern];
                if (f.layers.empty()) {
                    f.shape = p.shape;
                    f.pattern = pattern;
                }
                if (layer < layers) {
                    f.layers.insert(layer);
                }
            }
            i = end;
        }
    }
    std::vector<Family> families;
    for (auto& [pattern, f] : found) {
        for (const std::string& part : split(pattern, ".")) {
            if (part.find("{layer}") == std::string::npos &&
                !isAny(part, {"weight", "kernel", "w"})) {
                f.parts.push_back(part);
            }
        }
        // "block3_attn_q": the layer and the name in one part.
        if (f.parts.empty()) {
            f.parts.push_back(pattern);
        }
        families.push_back(std::move(f));
    }
    return families;
}

/// How much a family's own name speaks for a role; 0: not at all.
double nameScore(const Family& f, Role role) {
    const std::string own = lower(f.parts.back());
    const std::string all = lower(f.pattern);
    if (holdsAny(all, {"mlp", "ffn", "feed_forward", "feedforward", "expert", "norm", "ln_",
                       "embed", "rotary", "cross", "encoder_attn", "lora_", "lm_head", "router",
                       "_a_proj", "pooler", "classifier"})) {
        return 0;
    }
    const auto words = split(own, "_-");
    const auto has = [&](std::initializer_list<const char*> wanted) {
        return std::any_of(words.begin(), words.end(),
                           [&](const std::string& w) { return isAny(w, wanted); });
    };
    const bool qkv = holdsAny(own, {"qkv", "query_key_value"}) ||
                     isAny(own, {"c_attn", "in_proj", "in_proj_weight"});
    const bool kv = !qkv && (holdsAny(own, {"kv", "key_value"}));
    switch (role) {
    case roleQkv:
        return qkv ? 4 : 0;
    case roleKv:
        return kv ? 4 : 0;
    case roleQ:
        return has({"q", "query", "queries", "wq", "qproj"}) && !qkv ? 4 : 0;
    case roleK:
        return has({"k", "key", "keys", "wk", "kproj"}) && !qkv && !kv ? 4 : 0;
    case roleV:
        return has({"v", "value", "values", "wv", "vproj"}) && !qkv && !kv ? 4 : 0;
    case roleO:
        if (qkv || kv || has({"q", "k", "v", "query", "key", "value"})) {
            return 0;
        }
        return has({"o", "wo", "out", "output", "oproj"}) ? 4
               : has({"dense"})                           ? 3
               : has({"proj", "projection"})              ? 2
                                                          : 0;
    default:
        return 0;
    }
}

/// Lengths of the head axis.
std::array<std::int64_t, roles> headAxes(const ModelShape& s) {
    const std::int64_t q = s.numHeads * s.headDim;
    const std::int64_t k = s.numKvHeads * s.headDim;
    const std::int64_t v = s.numKvHeads * s.vHeadDim;
    return {q, k, v, s.numHeads * s.vHeadDim, q + k + v, k + v};
}

bool fitsAxis(const Family& f, std::int64_t length) {
    return f.shape[0] == length || f.shape[1] == length;
}

/// The name's beginning up to its last dot: parts of one attention module share it.
std::string moduleOf(const std::string& pattern) {
    const std::string ending = ".weight";
    const std::string name =
        pattern.ends_with(ending) ? pattern.substr(0, pattern.size() - ending.size()) : pattern;
    const std::size_t dot = name.rfind('.');
    return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

struct Guesser {
    const ModelShape& shape;
    std::vector<Family> families;
    std::array<std::int64_t, roles> axes;
    std::array<const Family*, roles> chosen{};

    double score(const Family& f, Role role) const {
        const double byName = nameScore(f, role);
        if (byName == 0 || f.layers.empty()) {
            return 0;
        }
        const std::string all = lower(f.pattern);
        return byName + (holdsAny(all, {"attn", "attention", "mha"}) ? 2 : 0) +
               (fitsAxis(f, axes[role]) ? 3 : -1) +
               3 * static_cast<double>(f.layers.size()) / static_cast<double>(shape.numLayers);
    }
    const Family* best(Role role, const std::string& module) const {
        const Family* winner = nullptr;
        double most = 0;
        for (const Family& f : families) {
            double s = score(f, role);
            if (s > 0 && !module.empty() && moduleOf(f.pattern) == module) {
                s += 2;
            }
            if (s > most && std::find(chosen.begin(), chosen.end(), &f) == chosen.end()) {
                most = s;
                winner = &f;
            }
        }
        return winner;
    }
    /// Names say nothing: the one family whose shape only the fused matrix can have.
    const Family* fusedByShape() const {
        const Family* only = nullptr;
        for (const Family& f : families) {
            if (f.layers.empty() || f.shape[0] == f.shape[1] || !fitsAxis(f, axes[roleQkv]) ||
                holdsAny(lower(f.pattern), {"mlp", "ffn", "feed", "expert", "norm", "embed", "fc",
                                            "up", "gate", "down", "cross"})) {
                continue;
            }
            const std::int64_t other = f.shape[0] == axes[roleQkv] ? f.shape[1] : f.shape[0];
            if (other != shape.hiddenDim) {
                continue;
            }
            if (only) {
                return nullptr;
            }
            only = &f;
        }
        return only;
    }
};

const std::vector<Block>& blocksOf(Role role) {
    static const std::array<std::vector<Block>, roles> all{{{Block::Q},
                                                            {Block::K},
                                                            {Block::V},
                                                            {Block::O},
                                                            {Block::Q, Block::K, Block::V},
                                                            {Block::K, Block::V}}};
    return all[role];
}

std::string biasOf(const std::string& pattern, const std::vector<NamedShape>& parameters) {
    const std::string ending = ".weight";
    if (!pattern.ends_with(ending)) {
        return {};
    }
    const std::string bias = pattern.substr(0, pattern.size() - ending.size()) + ".bias";
    const bool there = std::any_of(parameters.begin(), parameters.end(), [&](const NamedShape& p) {
        return p.shape.size() == 1 && patternOf(p.name) == bias;
    });
    return there ? bias : std::string();
}

} // namespace

std::optional<bool> inOutByShape(const ModelShape& shape, const std::vector<Block>& blocks,
                                 const std::vector<std::int64_t>& dims) {
    if (blocks.empty() || dims.size() != 2) {
        return std::nullopt;
    }
    const auto axes = headAxes(shape);
    std::int64_t length = 0;
    for (const Block block : blocks) {
        length += axes[blockIndex(block)];
    }
    const bool rows = dims[0] == length;
    const bool columns = dims[1] == length;
    if (rows == columns) {
        return std::nullopt;
    }
    return blocks.front() == Block::O ? rows : columns;
}

LayoutDraft guessLayout(const ModelShape& shape, const std::vector<NamedShape>& parameters) {
    LayoutDraft draft;
    draft.name = shape.architecture.empty() ? shape.name : shape.architecture;
    Guesser g{shape, familiesOf(parameters, shape.numLayers), headAxes(shape), {}};
    const Family* qkv = g.best(roleQkv, {});
    const Family* kv = g.best(roleKv, {});
    const Family* q = g.best(roleQ, {});
    const std::string module = q ? moduleOf(q->pattern) : std::string();
    const Family* k = g.best(roleK, module);
    const Family* v = g.best(roleV, module);
    if (!qkv && !q && !k && !v && !kv) {
        qkv = g.fusedByShape();
    }
    const bool separate = q && k && v;
    if (qkv && !(separate && !fitsAxis(*qkv, g.axes[roleQkv]))) {
        draft.fusedBlocks = {Block::Q, Block::K, Block::V};
        g.chosen[roleQkv] = qkv;
    } else if (!separate && kv) {
        draft.fusedBlocks = {Block::K, Block::V};
        g.chosen[roleKv] = kv;
        g.chosen[roleQ] = q;
    } else {
        g.chosen[roleQ] = q;
        g.chosen[roleK] = k;
        g.chosen[roleV] = v;
    }
    const Family* first = draft.fusedBlocks.size() == 3 ? g.chosen[roleQkv] : q;
    g.chosen[roleO] = g.best(roleO, first ? moduleOf(first->pattern) : std::string());

    // Square matrices are stored as their fellows are.
    std::optional<bool> common;
    for (std::size_t r = 0; r < roles; ++r) {
        if (g.chosen[r] && !common) {
            common = inOutByShape(shape, blocksOf(static_cast<Role>(r)), g.chosen[r]->shape);
        }
    }
    const auto part = [&](Role role) {
        LayoutPart p;
        if (const Family* f = g.chosen[role]) {
            p.pattern = f->pattern;
            p.bias = biasOf(p.pattern, parameters);
            p.inOut =
                inOutByShape(shape, blocksOf(role), f->shape).value_or(common.value_or(false));
        }
        return p;
    };
    draft.parts[blockIndex(Block::O)] = part(roleO);
    if (draft.fusedBlocks.size() == 3) {
        draft.fused = part(roleQkv);
        const std::string& own = g.chosen[roleQkv]->parts.back();
        const bool shared = shape.numKvHeads != shape.numHeads;
        if (lower(own) == "query_key_value") {
            draft.order = shared ? FusedOrder::perKvGroup : FusedOrder::perHead;
        } else if (own == "wqkv") {
            draft.order = FusedOrder::perKvGroup;
        }
        return draft;
    }
    draft.parts[blockIndex(Block::Q)] = part(roleQ);
    if (!draft.fusedBlocks.empty()) {
        draft.fused = part(roleKv);
        return draft;
    }
    draft.parts[blockIndex(Block::K)] = part(roleK);
    draft.parts[blockIndex(Block::V)] = part(roleV);
    return draft;
}

} // namespace qkov::model
