// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Threads.h"
#include "engine/Run.h"
#include "engine/Tiles.h"

#include <algorithm>

namespace qkov::engine {

namespace {

std::int64_t sampleCount(const Context& c, std::size_t task, const Need& need) {
    const TaskSelection& t = c.tasks[task];
    return static_cast<std::int64_t>(need.all ? t.all.size() : t.selected.size());
}

/// What one parameter takes in a tile of this shape, all samples and quantities.
struct Bytes {
    std::int64_t held = 0; ///< in memory
    double read = 0;       ///< from the source
};

bool liesThere(const Context& c, const dump::TaskInfo& task, const dump::ParameterEntry& entry,
               const Backend& backend) {
    return backend.device() >= 0 && c.source->deviceFactors(task, entry).device == backend.device();
}

std::int64_t tokensOf(const Context& c, std::size_t t, const Need& need,
                      const dump::ParameterEntry& entry) {
    const auto lengths = c.source->factorLengths(*c.tasks[t].task, entry);
    std::int64_t tokens = 0;
    for (const std::int64_t s : need.all ? c.tasks[t].all : c.tasks[t].selected) {
        tokens += lengths[static_cast<std::size_t>(s)];
    }
    return tokens;
}

/// Factored gradients are not rebuilt as a whole where the backend keeps factors, and take nothing
/// where they lie on its device already.
Bytes numberBytes(const Context& c, const BundleParameter& p, const dump::Region& shape,
                  const Backend& backend) {
    const bool keepsFactors = backend.keepsFactors();
    const Needs needs = needsOf(c, p);
    Bytes bytes;
    for (std::size_t t = 0; t < 2; ++t) {
        for (std::size_t q = 0; q < 2; ++q) {
            if (!needs[t][q].used) {
                continue;
            }
            const dump::TaskInfo& task = *c.tasks[t].task;
            const dump::ParameterEntry& entry = *p.entries[t];
            const DType type = c.source->nativeType(task, entry, static_cast<Quantity>(q));
            const bool factored = static_cast<Quantity>(q) == Quantity::gradients &&
                                  c.source->hasFactors(task, entry);
            const std::int64_t dense =
                sampleCount(c, t, needs[t][q]) * static_cast<std::int64_t>(dtypeSize(type));
            if (!factored || !keepsFactors) {
                bytes.held += dense;
            }
            const bool there = factored && liesThere(c, task, entry, backend);
            if (factored && !there) {
                // The factors stay beside what is rebuilt from them.
                const std::int64_t tokens = tokensOf(c, t, needs[t][q], entry);
                const auto types = c.source->factorTypes(task, entry);
                const auto width =
                    static_cast<std::int64_t>(std::max(dtypeSize(types[0]), dtypeSize(types[1])));
                const double factors =
                    double(tokens * (shape.rows + shape.columns) * width) / double(shape.count());
                bytes.held += static_cast<std::int64_t>(factors) + 1;
                bytes.read += factors;
            } else if (!there) {
                bytes.read += double(dense);
            }
        }
    }
    bytes.held = std::max<std::int64_t>(bytes.held, 1);
    return bytes;
}

/// Sums (profile), Fisher where it is computed, products. Tiles that stay are loaded in a pass of
/// their own when nothing else does it.
int passesOver(const Context& c, const Bundle& bundle, bool resident) {
    if (c.profile()) {
        return 3;
    }
    for (const BundleParameter& p : bundle.parameters) {
        for (const auto& task : needsOf(c, p)) {
            if (task[0].all || task[1].all) {
                return 2;
            }
        }
    }
    return resident ? 2 : 1;
}

bool wholeRows(const Bundle& bundle) {
    return std::all_of(bundle.units.begin(), bundle.units.end(), [&](const Unit& u) {
        return u.parts[0].rect.columns == bundle.parameters[0].columns;
    });
}

/// The rows that the group's units own of parameter `p`, columns from the leftmost to the
/// rightmost.
std::vector<dump::Region> regionsOf(const Bundle& bundle, const std::vector<std::size_t>& units,
                                    std::size_t p) {
    std::vector<dump::Region> rects;
    for (const std::size_t u : units) {
        for (const UnitPart& part : bundle.units[u].parts) {
            if (part.parameter == p) {
                rects.push_back(part.rect);
            }
        }
    }
    std::sort(rects.begin(), rects.end(), [](const dump::Region& a, const dump::Region& b) {
        return std::pair(a.row, a.column) < std::pair(b.row, b.column);
    });
    std::vector<dump::Region> merged;
    for (const dump::Region& r : rects) {
        if (!merged.empty() && merged.back().row == r.row && merged.back().rows == r.rows) {
            auto& m = merged.back(); // side by side: read the rows once
            m.columns = std::max(m.column + m.columns, r.column + r.columns) - m.column;
        } else if (!merged.empty() && merged.back().column == r.column &&
                   merged.back().columns == r.columns &&
                   merged.back().row + merged.back().rows == r.row) {
            merged.back().rows += r.rows;
        } else {
            merged.push_back(r);
        }
    }
    return merged;
}

/// Splits regions by rows into tiles of at most `numbers` parameters.
void addTiles(const std::vector<dump::Region>& regions, std::size_t parameter, std::int64_t numbers,
              std::vector<TileSpec>& tiles) {
    for (const dump::Region& r : regions) {
        const std::int64_t rows = std::clamp<std::int64_t>(numbers / r.columns, 1, r.rows);
        for (std::int64_t row = 0; row < r.rows; row += rows) {
            tiles.push_back(
                {parameter, {r.row + row, std::min(rows, r.rows - row), r.column, r.columns}});
        }
    }
}

} // namespace

Needs needsOf(const Context& c, const BundleParameter& p) {
    Needs needs{};
    const bool pooled = c.request.variant == Variant::profile;
    for (std::size_t t = 0; t < 2; ++t) {
        if (p.entries[t] == nullptr) {
            continue;
        }
        const auto use = [&](const Operand& o, bool all) {
            Need& need = needs[t][static_cast<std::size_t>(o.quantity)];
            need.used = true;
            need.all = need.all || all;
        };
        if (t == 0 || pooled) {
            use(c.left(*p.entries[t]), false);
        }
        if (t == 1 || pooled) {
            use(c.right(*p.entries[t]), false);
        }
        if (pooled) {
            continue;
        }
        const auto fisherTasks = c.fisherTasks();
        const bool counts = std::find(fisherTasks.begin(), fisherTasks.end(),
                                      static_cast<int>(t)) != fisherTasks.end();
        const bool structural =
            c.needsStructural() || (c.needsBehavioral() && !c.behavioralStored(p.name));
        if (counts && structural &&
            c.structuralOrigin(static_cast<int>(t), p.name) == FisherOrigin::computed) {
            use(Context::contributions(*p.entries[t]), true);
        }
    }
    return needs;
}

TileBytes tileBytesOf(const Context& c, const BundleParameter& p, const dump::Region& region,
                      const Backend& backend) {
    const Needs needs = needsOf(c, p);
    TileBytes bytes;
    const auto buffer = [&](std::int64_t n) {
        bytes.read += static_cast<std::int64_t>(LargeMemory::sizeFor(static_cast<std::size_t>(n)));
    };
    for (std::size_t t = 0; t < 2; ++t) {
        for (std::size_t q = 0; q < 2; ++q) {
            if (!needs[t][q].used) {
                continue;
            }
            const dump::TaskInfo& task = *c.tasks[t].task;
            const dump::ParameterEntry& entry = *p.entries[t];
            if (static_cast<Quantity>(q) == Quantity::gradients &&
                c.source->hasFactors(task, entry)) {
                const std::int64_t tokens = tokensOf(c, t, needs[t][q], entry);
                const auto types = c.source->factorTypes(task, entry);
                FactorData data;
                data.inputDtype = types[0];
                data.gradOutputDtype = types[1];
                data.samples = sampleCount(c, t, needs[t][q]);
                data.rows = region.rows;
                data.columns = region.columns;
                data.inOut = entry.inOut;
                if (!liesThere(c, task, entry, backend)) {
                    buffer(tokens * data.inputs() * static_cast<std::int64_t>(dtypeSize(types[0])));
                    buffer(tokens * data.outputs() *
                           static_cast<std::int64_t>(dtypeSize(types[1])));
                }
                bytes.more += backend.keepsFactors() ? 0 : backend.factorTileBytes(data);
            } else {
                const DType type = c.source->nativeType(task, entry, static_cast<Quantity>(q));
                buffer(sampleCount(c, t, needs[t][q]) * region.count() *
                       static_cast<std::int64_t>(dtypeSize(type)));
            }
        }
    }
    return bytes;
}

ChunkBytes chunkBytesOf(const Context& c, const BundleParameter& p, const dump::Region& region) {
    using dump::PieceReader;
    const Needs needs = needsOf(c, p);
    ChunkBytes bytes;
    for (std::size_t t = 0; t < 2; ++t) {
        for (std::size_t q = 0; q < 2; ++q) {
            if (!needs[t][q].used) {
                continue;
            }
            const auto reader = c.source->pieces(
                *c.tasks[t].task, *p.entries[t], static_cast<Quantity>(q),
                needs[t][q].all ? c.tasks[t].all : c.tasks[t].selected, region, false);
            if (!reader || reader->workingBytes() == 0) {
                continue;
            }
            const std::int64_t atOnce = std::min(static_cast<std::int64_t>(reader->size()),
                                                 std::int64_t(Loader::threadCount()));
            bytes.kept += reader->keptBytes();
            bytes.working =
                std::max(bytes.working,
                         std::min(reader->workingBytes() * atOnce,
                                  std::max(PieceReader::mostWorking, reader->workingBytes())));
        }
    }
    return bytes;
}

Plan makePlan(const Context& c, const std::vector<Bundle>& bundles, const Backend& backend,
              std::int64_t tileBudget) {
    Plan plan;
    const std::int64_t comfortable = backend.comfortableTileBytes();
    const auto bytesPerNumber = [&](const Context& context, const BundleParameter& parameter,
                                    const dump::Region& shape) {
        return numberBytes(context, parameter, shape, backend);
    };
    const std::int64_t half = std::max<std::int64_t>(tileBudget / 2, 1);
    for (std::size_t b = 0; b < bundles.size(); ++b) {
        const Bundle& bundle = bundles[b];
        const dump::Region& typical = bundle.units.front().parts[0].rect;
        const std::int64_t bytes = bytesPerNumber(c, bundle.parameters[0], typical).held;
        // What a slice takes beside its tiles: sums of all pairs, the slice's own and the running
        // ones; its Fisher and weights.
        const auto modes = static_cast<std::int64_t>(c.modes.size());
        const std::int64_t beside =
            modes * static_cast<std::int64_t>(pairCount(c, c.profile()) * 2 * sizeof(double)) +
            bundle.units.front().size * (8 + 4 * modes);
        const auto finish = [&](std::vector<std::size_t> units) {
            Group g;
            g.bundle = b;
            g.units = std::move(units);
            std::int64_t total = 0;
            double read = 0;
            for (std::size_t p = 0; p < bundle.parameters.size(); ++p) {
                for (const dump::Region& r : regionsOf(bundle, g.units, p)) {
                    const Bytes each = bytesPerNumber(c, bundle.parameters[p], r);
                    total += r.count() * each.held;
                    read += double(r.count()) * each.read;
                }
            }
            g.bytes = total;
            g.resident = total <= half || total <= tileBudget - comfortable;
            for (std::size_t p = 0; p < bundle.parameters.size(); ++p) {
                for (const dump::Region& r : regionsOf(bundle, g.units, p)) {
                    const std::int64_t numbers = (g.resident ? comfortable : half) /
                                                 bytesPerNumber(c, bundle.parameters[p], r).held;
                    addTiles({r}, p, std::max<std::int64_t>(1, numbers), g.tiles);
                }
            }
            g.passes = passesOver(c, bundle, g.resident);
            plan.readBytes += static_cast<std::int64_t>(read) * (g.resident ? 1 : g.passes);
            plan.groups.push_back(std::move(g));
        };
        std::vector<std::size_t> order(bundle.units.size());
        for (std::size_t u = 0; u < order.size(); ++u) {
            order[u] = u;
        }
        if (!wholeRows(bundle)) {
            // Columns: every row is read once for all heads, as far as their sums fit.
            const auto most = static_cast<std::size_t>(
                std::max<std::int64_t>(1, half / std::max<std::int64_t>(1, beside)));
            for (std::size_t u = 0; u < order.size(); u += most) {
                finish({order.begin() + static_cast<std::ptrdiff_t>(u),
                        order.begin() +
                            static_cast<std::ptrdiff_t>(std::min(order.size(), u + most))});
            }
            continue;
        }
        std::sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
            return bundle.units[x].parts[0].rect.row < bundle.units[y].parts[0].rect.row;
        });
        std::vector<std::size_t> units;
        std::int64_t size = 0;
        for (const std::size_t u : order) {
            const std::int64_t own = bundle.units[u].size * bytes + beside;
            if (!units.empty() && size + own > std::min(half, comfortable)) {
                finish(std::move(units));
                units.clear();
                size = 0;
            }
            units.push_back(u);
            size += own;
        }
        if (!units.empty()) {
            finish(std::move(units));
        }
    }
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
        const Group& group = plan.groups[g];
        const auto loaded = [&](const Group& of, std::size_t tile) {
            const TileSpec& spec = of.tiles[tile];
            return tileBytesOf(c, bundles[of.bundle].parameters[spec.parameter], spec.region,
                               backend);
        };
        // The next tile is read while one is worked on; the next group's first while all of a
        // resident group is. Another one behind it, where there is room: tiles differ in size, and
        // the disk would rest behind a small one, the processor behind a large one. Compressed
        // numbers are what is waited for anyway.
        std::int64_t all = 0;
        std::int64_t most = 0;
        for (std::size_t t = 0; t < group.tiles.size(); ++t) {
            const TileBytes own = loaded(group, t);
            const std::int64_t next = t + 1 < group.tiles.size() ? loaded(group, t + 1).read : 0;
            all += own.read + own.more;
            most = std::max(most, own.read + own.more + next);
        }
        if (group.resident) {
            const TileSpec& spec = group.tiles.front();
            const bool compressed =
                chunkBytesOf(c, bundles[group.bundle].parameters[spec.parameter], spec.region)
                    .working > 0;
            const int ahead = compressed ? 1 : 2;
            most = all;
            int behind = 0;
            for (std::size_t n = g + 1; n < plan.groups.size() && behind < ahead; ++n) {
                for (std::size_t t = 0; t < plan.groups[n].tiles.size() && behind < ahead; ++t) {
                    const std::int64_t more = loaded(plan.groups[n], t).read;
                    if (behind++ == 0 || most + more <= tileBudget) {
                        most += more;
                    }
                }
            }
        }
        plan.tileBytes = std::max(plan.tileBytes, most);
    }
    return plan;
}

std::int64_t workingBytes(const Context& c, const std::vector<Bundle>& bundles, const Plan& plan,
                          const Backend& backend, bool pooledPairs) {
    const auto modes = static_cast<std::int64_t>(c.modes.size());
    const bool both = pooledPairs || c.profile();
    const auto nA = static_cast<std::int64_t>(c.tasks[0].selected.size());
    const auto nB = static_cast<std::int64_t>(c.tasks[1].selected.size());
    const std::int64_t left = both ? nA + nB : nA;
    const std::int64_t right = both ? nA + nB : nB;
    const std::int64_t sums = modes * left * right * 8;
    const std::int64_t threads = c.request.threads > 0 ? c.request.threads : defaultThreadCount();
    std::int64_t most = 0;
    std::int64_t widest = 0;
    for (const Group& g : plan.groups) {
        std::int64_t numbers = 0;
        for (const std::size_t u : g.units) {
            numbers += bundles[g.bundle].units[u].size;
        }
        widest = std::max(widest, numbers);
    }
    for (const Group& g : plan.groups) {
        const Bundle& bundle = bundles[g.bundle];
        std::int64_t numbers = 0;
        std::int64_t largest = 0;
        for (const std::size_t u : g.units) {
            numbers += bundle.units[u].size;
            largest = std::max(largest, bundle.units[u].size);
        }
        const auto units = static_cast<std::int64_t>(g.units.size());
        const bool waits =
            c.needsBehavioral() && !c.profile() && !c.behavioralStored(bundle.parameters[0].name);
        const std::int64_t kept = waits ? static_cast<std::int64_t>(bundle.units.size()) : units;
        // Fisher in float64 until a slice's weights in float32 are made of it.
        const std::int64_t making =
            numbers * 8 + numbers * 4 * modes + std::min(threads, units) * largest * 8;
        // Sums of pairs: kept until the cells are finished, and those of the running products.
        // The memory of the Fisher is kept for the next group's.
        const std::int64_t scoring = widest * 8 + numbers * 4 * modes + units * sums +
                                     backend.scoreBytes(units * (both ? 4 : 1), std::min(left, nA),
                                                        std::min(right, nB), modes);
        most = std::max(most, kept * sums + std::max(making, scoring));
    }
    return most;
}

} // namespace qkov::engine
