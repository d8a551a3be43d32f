// SPDX-License-Identifier: GPL-3.0-or-later
// From the layout of heads to the slices that are read and scored.
#include "base/Error.h"
#include "engine/Context.h"

#include <algorithm>

namespace qkov::engine {

namespace {

using model::Axis;
using model::HeadSlice;

bool signless(const Context& c, const dump::ParameterEntry& entry) {
    return (c.request.variant == Variant::signedProduct || c.request.variant == Variant::cosine) &&
           entry.storage == dump::Storage::contributions;
}

/// |g| = √(C · tokens) needs the tokens.
void checkTokens(const Context& c, std::size_t t, const dump::ParameterEntry& entry) {
    if (!c.right(entry).tokens || (t == 0 && !c.profile())) {
        return;
    }
    const dump::TaskInfo& task = *c.tasks[t].task;
    for (const std::int64_t s : c.tasks[t].selected) {
        const dump::SampleInfo& sample = task.samples[static_cast<std::size_t>(s)];
        if (sample.tokens <= 0) {
            throw InputError("sample \"" + sample.id +
                                 "\" has no number of predicted tokens, which "
                                 "contributions per token need",
                             c.source->file(), "tasks/" + task.name + "/samples/n_tokens");
        }
    }
}

/// Fills entries and shape; says which task lacks it.
bool findEntries(Context& c, const std::string& parameter, BundleParameter& out,
                 std::string* lacking) {
    out.name = parameter;
    for (std::size_t t = 0; t < 2; ++t) {
        const auto& parameters = c.tasks[t].task->parameters;
        const auto it = parameters.find(parameter);
        if (it == parameters.end()) {
            *lacking += (lacking->empty() ? "" : " and ") + ("task " + c.tasks[t].task->name);
            continue;
        }
        out.entries[t] = &it->second;
        if (signless(c, it->second)) {
            throw InputError("has contributions only; " + name(c.request.variant) +
                                 " needs the signs of gradients",
                             c.source->file(),
                             "tasks/" + c.tasks[t].task->name + "/contributions/" + parameter,
                             "use --variant magnitude, symmetric or natural");
        }
        checkTokens(c, t, it->second);
        const auto& shape = it->second.shape;
        const std::int64_t rows = shape.empty() ? 0 : shape[0];
        const std::int64_t columns = shape.size() > 1 ? shape[1] : 1;
        if (out.rows == 0) {
            out.rows = rows;
            out.columns = columns;
        } else if (out.rows != rows || out.columns != columns) {
            throw InputError("has another shape than in task " + c.tasks[0].task->name,
                             c.source->file(),
                             "tasks/" + c.tasks[t].task->name + "/gradients/" + parameter);
        }
    }
    return lacking->empty();
}

dump::Region rectOf(const HeadSlice& slice, const BundleParameter& p) {
    if (slice.axis == Axis::rows) {
        return {slice.start, slice.length, 0, p.columns};
    }
    return {0, p.rows, slice.start, slice.length};
}

void checkInside(const Context& c, const dump::Region& r, const BundleParameter& p) {
    if (r.row < 0 || r.column < 0 || r.rows <= 0 || r.columns <= 0 || r.row + r.rows > p.rows ||
        r.column + r.columns > p.columns) {
        throw InputError("is [" + std::to_string(p.rows) + ", " + std::to_string(p.columns) +
                             "], smaller than the model's heads need",
                         c.source->file(), p.name);
    }
}

/// Adds the units of `block` to the bundle.
void addUnits(Context& c, Bundle& bundle, const model::ParameterInfo& parameter, Block block,
              int fusedRow) {
    const auto& layout = c.source->layout();
    const auto& shape = c.source->info().model;
    const bool shared = block == Block::K || block == Block::V;
    const std::size_t first = bundle.units.size();
    for (std::int64_t h = 0; h < shape.numHeads; ++h) {
        const std::int64_t head = shared ? shape.kvHead(h) : h;
        const auto column = std::find(c.heads.begin(), c.heads.end(), h);
        const bool wanted = column != c.heads.end();
        const auto known =
            std::find_if(bundle.units.begin() + static_cast<std::ptrdiff_t>(first),
                         bundle.units.end(), [&](const Unit& u) { return u.head == head; });
        if (known != bundle.units.end()) {
            if (wanted) {
                known->columns.push_back(static_cast<std::size_t>(column - c.heads.begin()));
            }
            continue;
        }
        const auto slice = layout.slice(block, parameter.layer, HeadIndex(h));
        if (!slice) {
            continue;
        }
        Unit unit;
        unit.block = block;
        unit.head = head;
        unit.type = sliceType(c.source->info(), block, parameter.layer.value, head);
        if (wanted) {
            unit.columns.push_back(static_cast<std::size_t>(column - c.heads.begin()));
        }
        const auto add = [&](std::size_t index, const HeadSlice& s) {
            const dump::Region rect = rectOf(s, bundle.parameters[index]);
            checkInside(c, rect, bundle.parameters[index]);
            unit.parts.push_back({index, rect, unit.size, fusedRow});
            unit.size += rect.count();
        };
        add(0, *slice);
        if (bundle.parameters.size() > 1) {
            if (const auto bias = layout.biasSlice(block, parameter.layer, HeadIndex(h))) {
                add(1, *bias);
            }
        }
        bundle.units.push_back(std::move(unit));
    }
}

/// Units outside the selection stay only if a selected one of the same block and type needs their
/// Fisher.
void dropUnneeded(const Context& c, Bundle& bundle) {
    const bool grouping = c.needsBehavioral() && !c.profile();
    std::vector<Unit> kept;
    for (const Unit& u : bundle.units) {
        const bool needed =
            !u.columns.empty() ||
            (grouping && !c.behavioralStored(bundle.parameters[0].name) &&
             std::any_of(bundle.units.begin(), bundle.units.end(), [&](const Unit& v) {
                 return !v.columns.empty() && v.block == u.block && v.type == u.type;
             }));
        if (needed) {
            kept.push_back(u);
        }
    }
    bundle.units = std::move(kept);
}

} // namespace

int sliceType(const dump::DumpInfo& info, Block block, std::int64_t layer, std::int64_t head) {
    const auto& types = info.headTypes;
    if (types.names.empty()) {
        return -1;
    }
    const auto& shape = info.model;
    const auto typeOf = [&](std::int64_t h) {
        return static_cast<int>(types.type[static_cast<std::size_t>(layer * shape.numHeads + h)]);
    };
    if (block == Block::Q || block == Block::O) {
        return typeOf(head);
    }
    const std::int64_t per = shape.queriesPerKv();
    const int first = typeOf(head * per);
    for (std::int64_t q = 1; q < per; ++q) {
        if (typeOf(head * per + q) != first) {
            const auto mixed = std::find(types.names.begin(), types.names.end(), "mixed");
            // A dump without that name still has such slices: a group of their own.
            return static_cast<int>(mixed - types.names.begin());
        }
    }
    return first;
}

std::vector<Bundle> makeBundles(Context& c) {
    std::vector<Bundle> bundles;
    const auto& layout = c.source->layout();
    for (std::size_t row = 0; row < c.layers.size(); ++row) {
        std::array<bool, 4> found{};
        for (const model::ParameterInfo& p : layout.parameters()) {
            if (p.layer.value != c.layers[row]) {
                continue;
            }
            bool any = false;
            for (const Block b : p.blocks) {
                found[blockIndex(b)] = true;
                any = any || c.blocks[blockIndex(b)];
            }
            if (!any) {
                continue;
            }
            Bundle bundle;
            bundle.layerRow = row;
            bundle.layer = p.layer;
            BundleParameter weight;
            std::string lacking;
            if (!findEntries(c, p.name, weight, &lacking)) {
                c.missing.push_back(p.name + ": not in " + lacking);
                continue;
            }
            weight.blocks = p.blocks.size();
            bundle.parameters.push_back(std::move(weight));
            const bool onlyO = p.blocks.size() == 1 && p.blocks[0] == Block::O;
            if (c.request.includeBias && !onlyO) {
                BundleParameter bias;
                if (!p.bias.empty() && findEntries(c, p.bias, bias, &lacking)) {
                    bias.blocks = p.blocks.size();
                    bundle.parameters.push_back(std::move(bias));
                } else {
                    c.missing.push_back(p.name + ": its bias is " +
                                        (p.bias.empty() ? "not in the dump" : "not in " + lacking) +
                                        "; scored without it");
                }
            }
            for (std::size_t k = 0; k < p.blocks.size(); ++k) {
                if (c.blocks[blockIndex(p.blocks[k])]) {
                    addUnits(c, bundle, p, p.blocks[k], static_cast<int>(k));
                }
            }
            dropUnneeded(c, bundle);
            if (!bundle.units.empty()) {
                bundles.push_back(std::move(bundle));
            }
        }
        for (const Block b : allBlocks) {
            if (c.blocks[blockIndex(b)] && !found[blockIndex(b)]) {
                c.missing.push_back("layer " + std::to_string(c.layers[row]) + ", " + blockName(b) +
                                    ": not in the dump");
            }
        }
    }
    return bundles;
}

} // namespace qkov::engine
