// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/GroupRun.h"

#include "base/Threads.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace qkov::engine {

namespace {

/// A slice's share of a tile.
struct View {
    std::size_t unit = 0;    ///< in the bundle
    TilePart part;           ///< within the tile
    std::int64_t offset = 0; ///< of its numbers in the unit
};

using Statistics = std::vector<std::vector<SampleStatistics>>; ///< [view][sample]

struct ActiveTile {
    std::unique_ptr<LoadedTile> loaded;
    std::vector<View> views;
    std::array<std::array<Statistics, 2>, 2> statistics; ///< [task][quantity]
};

class GroupRun {
  public:
    GroupRun(RunContext& run, const Group& group, std::vector<UnitState>& states)
        : m_run(run)
        , m_group(group)
        , m_states(states)
        , m_context(run.context)
        , m_bundle(run.bundles[group.bundle]) {}

    void run(const std::function<void()>& readAhead);
    void scan(Excluded& found, std::vector<std::string>& notes);

  private:
    std::vector<View> viewsOf(const TileSpec& spec) const;
    ActiveTile activate(std::size_t index);
    void release(ActiveTile& tile) { m_run.loader.recycle(std::move(tile.loaded)); }
    void eachTile(const std::function<void(ActiveTile&)>& work);
    void timed(const std::function<void()>& work);
    void checkFinite(const ActiveTile& tile) const;
    [[noreturn]] void reportNonFinite(int task, Quantity quantity, const std::string& parameter,
                                      std::int64_t sample, const dump::Region& region) const;

    void prepareFisher();
    void collectSums(const ActiveTile& tile);
    void addFisher(const ActiveTile& tile);
    void makeWeights();
    void makeUnitWeights(std::size_t unit);
    void score(const ActiveTile& tile);
    void scoreExactly();

    const BundleParameter& parameterOf(const ActiveTile& tile) const {
        return m_bundle.parameters[tile.loaded->spec.parameter];
    }
    const TaskSelection& taskOf(int t) const {
        return m_context.tasks[static_cast<std::size_t>(t)];
    }

    RunContext& m_run;
    const Group& m_group;
    std::vector<UnitState>& m_states;
    const Context& m_context;
    const Bundle& m_bundle;
    bool m_computesFisher = false;
    std::vector<ActiveTile> m_resident;
    /// Per unit of the bundle and mode: float weights (empty: 1), scaled by 2^−shift.
    std::vector<std::vector<std::vector<float>>> m_weights;
    std::vector<std::vector<int>> m_shifts;
    std::vector<std::vector<bool>> m_exact;
    std::vector<std::vector<std::vector<double>>> m_exactWeights;
};

/// The power of two that brings `largest` to [1, 2), or [1, 4) where a root needs an even exponent.
double scaleFor(double largest, DType type, Transform transform) {
    if (!(largest > 0)) {
        return 1;
    }
    int e = std::ilogb(largest);
    if (transform == Transform::squareRoot) {
        e -= (e % 2 + 2) % 2;
    }
    // Float32 paths multiply in float32.
    const int most = type == DType::f64 ? 1020 : 126;
    return std::ldexp(1.0, std::clamp(-e, -most, most));
}

/// What the transformed number has to be multiplied with to undo the scale.
double undo(double scale, Transform transform) {
    switch (transform) {
    case Transform::square:
        return 1 / (scale * scale);
    case Transform::squareRoot:
        return 1 / std::sqrt(scale);
    case Transform::identity:
    case Transform::absolute:
        break;
    }
    return 1 / scale;
}

std::vector<View> GroupRun::viewsOf(const TileSpec& spec) const {
    std::vector<View> views;
    const dump::Region& r = spec.region;
    for (const std::size_t u : m_group.units) {
        for (const UnitPart& part : m_bundle.units[u].parts) {
            if (part.parameter != spec.parameter || part.rect.column < r.column ||
                part.rect.column + part.rect.columns > r.column + r.columns) {
                continue;
            }
            const std::int64_t first = std::max(part.rect.row, r.row);
            const std::int64_t last = std::min(part.rect.row + part.rect.rows, r.row + r.rows);
            if (first >= last) {
                continue;
            }
            views.push_back(
                {u,
                 {first - r.row, last - first, part.rect.column - r.column, part.rect.columns},
                 part.offset + (first - part.rect.row) * part.rect.columns});
        }
    }
    return views;
}

void GroupRun::timed(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    m_run.computeSeconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

ActiveTile GroupRun::activate(std::size_t index) {
    ActiveTile tile;
    tile.loaded = m_run.loader.take(m_group.bundle, m_group.tiles[index]);
    if (index + 1 < m_group.tiles.size()) {
        m_run.loader.ahead(m_group.bundle, m_group.tiles[index + 1]);
    }
    tile.views = viewsOf(m_group.tiles[index]);
    const dump::Region& region = m_group.tiles[index].region;
    timed([&] {
        std::vector<StatisticsCall> calls;
        for (std::size_t t = 0; t < 2; ++t) {
            for (std::size_t q = 0; q < 2; ++q) {
                LoadedNumbers& numbers = tile.loaded->numbers[t][q];
                if (!numbers.used) {
                    continue;
                }
                const auto samples = static_cast<std::int64_t>(numbers.samples.size());
                if (numbers.factored) {
                    FactorData data;
                    data.inputDtype = numbers.factorTypes[0];
                    data.gradOutputDtype = numbers.factorTypes[1];
                    data.input = numbers.buffer.data.get();
                    data.gradOutput = numbers.gradOutput.data.get();
                    data.offsets = numbers.offsets.data();
                    data.samples = samples;
                    data.rows = region.rows;
                    data.columns = region.columns;
                    data.inOut = numbers.inOut;
                    numbers.tile = m_run.backend.load(data, m_run.job);
                } else {
                    numbers.tile =
                        m_run.backend.load(DenseData{numbers.dtype, numbers.buffer.data.get(),
                                                     samples, region.rows, region.columns},
                                           m_run.job);
                }
                Statistics& statistics = tile.statistics[t][q];
                statistics.assign(tile.views.size(),
                                  std::vector<SampleStatistics>(numbers.samples.size()));
                for (std::size_t v = 0; v < tile.views.size(); ++v) {
                    calls.push_back({numbers.tile.get(), tile.views[v].part, m_context.profile(),
                                     statistics[v].data()});
                }
            }
        }
        m_run.backend.statistics(calls, m_run.job);
    });
    return tile;
}

void GroupRun::eachTile(const std::function<void(ActiveTile&)>& work) {
    const auto count = [&](std::size_t i) {
        return static_cast<double>(m_group.tiles[i].region.count());
    };
    if (m_group.resident && !m_resident.empty()) {
        for (std::size_t i = 0; i < m_resident.size(); ++i) {
            timed([&] { work(m_resident[i]); });
            m_run.advance(count(i));
        }
        return;
    }
    for (std::size_t i = 0; i < m_group.tiles.size(); ++i) {
        ActiveTile tile = activate(i);
        checkFinite(tile);
        timed([&] { work(tile); });
        if (m_group.resident) {
            m_resident.push_back(std::move(tile));
        } else {
            release(tile);
        }
        m_run.advance(count(i));
    }
}

void GroupRun::checkFinite(const ActiveTile& tile) const {
    for (int t = 0; t < 2; ++t) {
        for (int q = 0; q < 2; ++q) {
            const auto ti = static_cast<std::size_t>(t);
            const auto qi = static_cast<std::size_t>(q);
            const Statistics& statistics = tile.statistics[ti][qi];
            for (std::size_t v = 0; v < statistics.size(); ++v) {
                for (std::size_t s = 0; s < statistics[v].size(); ++s) {
                    if (!std::isfinite(statistics[v][s].largest)) {
                        reportNonFinite(t, static_cast<Quantity>(q), parameterOf(tile).name,
                                        tile.loaded->numbers[ti][qi].samples[s],
                                        tile.loaded->spec.region);
                    }
                }
            }
        }
    }
}

void GroupRun::reportNonFinite(int task, Quantity quantity, const std::string& parameter,
                               std::int64_t sample, const dump::Region& region) const {
    const dump::TaskInfo& info = *taskOf(task).task;
    const dump::ParameterEntry& entry = info.parameters.at(parameter);
    std::vector<double> values(static_cast<std::size_t>(region.count()));
    m_context.source->read(info, entry, quantity, std::span(&sample, 1), region, DType::f64,
                           values.data());
    std::string what = "NaN or infinity";
    std::string where;
    for (std::size_t k = 0; k < values.size(); ++k) {
        if (!std::isfinite(values[k])) {
            const auto at = static_cast<std::int64_t>(k);
            what = std::isnan(values[k]) ? "NaN" : "infinity";
            where =
                ", index [" + std::to_string(region.row + at / region.columns) +
                (entry.shape.size() > 1 ? ", " + std::to_string(region.column + at % region.columns)
                                        : "") +
                "]";
            break;
        }
    }
    const char* folder = quantity == Quantity::contributions        ? "contributions/"
                         : entry.storage == dump::Storage::factored ? "factors/"
                                                                    : "gradients/";
    throw InputError("holds " + what + " at sample \"" +
                         info.samples[static_cast<std::size_t>(sample)].id + "\"" + where,
                     m_context.source->file(), "tasks/" + info.name + "/" + folder + parameter,
                     "use --nonfinite skip to leave such samples out");
}

void GroupRun::scan(Excluded& found, std::vector<std::string>& notes) {
    for (std::size_t i = 0; i < m_group.tiles.size(); ++i) {
        m_run.job.checkCancelled();
        ActiveTile tile = activate(i);
        for (std::size_t t = 0; t < 2; ++t) {
            for (std::size_t q = 0; q < 2; ++q) {
                const Statistics& statistics = tile.statistics[t][q];
                for (const auto& view : statistics) {
                    for (std::size_t s = 0; s < view.size(); ++s) {
                        if (std::isfinite(view[s].largest)) {
                            continue;
                        }
                        const std::int64_t sample = tile.loaded->numbers[t][q].samples[s];
                        const dump::TaskInfo& task = *m_context.tasks[t].task;
                        if (found[t].insert(sample).second) {
                            notes.push_back("Left out sample \"" +
                                            task.samples[static_cast<std::size_t>(sample)].id +
                                            "\" of task \"" + task.name +
                                            "\": NaN or infinity in " + parameterOf(tile).name +
                                            ".");
                        }
                    }
                }
            }
        }
        release(tile);
        m_run.advance(static_cast<double>(m_group.tiles[i].region.count()));
    }
}

void GroupRun::prepareFisher() {
    const bool grouping =
        m_context.needsBehavioral() && !m_context.behavioralStored(m_bundle.parameters[0].name);
    for (const std::size_t u : m_group.units) {
        m_run.job.checkCancelled();
        const Unit& unit = m_bundle.units[u];
        UnitState& state = m_states[u];
        const auto size = static_cast<std::size_t>(unit.size);
        if (m_context.profile()) {
            state.fisher.structural.assign(size, 0);
            state.sumsLeft.assign(m_run.nLeft, 0);
            state.sumsRight.assign(m_run.nRight, 0);
            state.coversLeft = true;
            m_computesFisher = true;
            continue;
        }
        if (m_context.needsStructural() || grouping) {
            state.fisher.structural.assign(size, 0);
            if (addStoredStructural(m_context, m_bundle, unit, state.fisher.structural)) {
                m_computesFisher = true;
            }
            // Computed from the very numbers of A that are scored: where it is zero, they are.
            // (Stored contributions may have underflowed where gradients have not, and a moving
            // average may have forgotten its first samples.)
            const auto tasks = m_context.fisherTasks();
            const double oldest = std::pow(m_context.request.emaDecay,
                                           static_cast<double>(m_context.tasks[0].all.size()));
            const bool remembers = m_context.request.estimator == Estimator::mean || oldest > 1e-30;
            state.coversLeft =
                remembers && std::find(tasks.begin(), tasks.end(), 0) != tasks.end() &&
                std::all_of(unit.parts.begin(), unit.parts.end(), [&](const UnitPart& p) {
                    const BundleParameter& parameter = m_bundle.parameters[p.parameter];
                    const dump::ParameterEntry& entry = *parameter.entries[0];
                    return m_context.structuralOrigin(0, parameter.name) ==
                               FisherOrigin::computed &&
                           m_context.left(entry).quantity == Context::contributions(entry).quantity;
                });
        }
        if (m_context.needsBehavioral() && !grouping) {
            readStoredBehavioral(m_context, m_bundle, unit, state.fisher);
        }
    }
}

/// Profile: each sample's Σ C and Σ |g| over its slice, from the statistics of the tiles.
void GroupRun::collectSums(const ActiveTile& tile) {
    const auto collect = [&](const SideSamples& side, const Operand& operand, bool left) {
        const auto t = static_cast<std::size_t>(side.task);
        const auto q = static_cast<std::size_t>(operand.quantity);
        const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
        for (std::size_t v = 0; v < tile.views.size(); ++v) {
            UnitState& state = m_states[tile.views[v].unit];
            auto& sums = left ? state.sumsLeft : state.sumsRight;
            for (std::size_t i = 0; i < numbers.selected.size(); ++i) {
                const SampleStatistics& s =
                    tile.statistics[t][q][v][static_cast<std::size_t>(numbers.selected[i])];
                double sum = operand.transform == Transform::square       ? s.squares
                             : operand.transform == Transform::squareRoot ? s.roots
                                                                          : s.sum;
                if (operand.tokens) {
                    const auto sample = static_cast<std::size_t>(taskOf(side.task).selected[i]);
                    sum *= std::sqrt(double(taskOf(side.task).task->samples[sample].tokens));
                }
                sums[side.offset + i] += sum;
            }
        }
    };
    for (const SideSamples& side : m_run.left) {
        collect(side,
                m_context.left(*parameterOf(tile).entries[static_cast<std::size_t>(side.task)]),
                true);
    }
    for (const SideSamples& side : m_run.right) {
        collect(side,
                m_context.right(*parameterOf(tile).entries[static_cast<std::size_t>(side.task)]),
                false);
    }
}

void GroupRun::addFisher(const ActiveTile& tile) {
    const BundleParameter& parameter = parameterOf(tile);
    std::vector<FisherCall> calls;
    // Kept until the calls are done.
    std::vector<std::vector<double>> weights, scales;
    const std::size_t most = tile.views.size() * 2;
    weights.reserve(most);
    scales.reserve(most);
    const auto tasks = m_context.profile() ? std::vector<int>{0, 1} : m_context.fisherTasks();
    for (const int task : tasks) {
        const auto t = static_cast<std::size_t>(task);
        if (!m_context.profile() &&
            m_context.structuralOrigin(task, parameter.name) != FisherOrigin::computed) {
            continue;
        }
        const Operand operand = Context::contributions(*parameter.entries[t]);
        const auto q = static_cast<std::size_t>(operand.quantity);
        const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
        std::vector<double> shared;
        if (!m_context.profile()) {
            shared = fisher::sampleWeights(m_context.request.estimator.value_or(Estimator::ema),
                                           numbers.samples.size(), m_context.request.emaDecay);
            const double share = m_context.fisherShare(task, "structural", parameter.name);
            for (double& w : shared) {
                w *= share;
            }
        }
        for (std::size_t v = 0; v < tile.views.size(); ++v) {
            UnitState& state = m_states[tile.views[v].unit];
            if (state.fisher.structural.empty()) {
                continue;
            }
            if (m_context.profile()) {
                // x_u / N' = C_u / (Σ C_u · N'), over the samples with anything in this slice.
                const double used = static_cast<double>(std::count_if(
                    state.sumsLeft.begin(), state.sumsLeft.end(), [](double s) { return s > 0; }));
                std::size_t offset = 0;
                for (const SideSamples& side : m_run.left) {
                    offset = side.task == task ? side.offset : offset;
                }
                shared.assign(numbers.samples.size(), 0);
                for (std::size_t i = 0; i < numbers.selected.size(); ++i) {
                    const double sum = state.sumsLeft[offset + i];
                    shared[static_cast<std::size_t>(numbers.selected[i])] =
                        sum > 0 ? 1 / (sum * used) : 0;
                }
            }
            weights.push_back(shared);
            std::vector<double> scale(numbers.samples.size());
            for (std::size_t s = 0; s < scale.size(); ++s) {
                scale[s] = scaleFor(tile.statistics[t][q][v][s].largest, numbers.tile->dtype,
                                    operand.transform);
            }
            scales.push_back(std::move(scale));
            calls.push_back({numbers.tile.get(), tile.views[v].part, operand.transform,
                             scales.back().data(), weights.back().data(),
                             state.fisher.structural.data() + tile.views[v].offset});
        }
        // Task by task: both add to the same sums, and a backend may run the calls of one list at
        // the same time.
        m_run.backend.fisher(calls, m_run.job);
        calls.clear();
    }
}

void GroupRun::makeWeights() {
    const std::size_t units = m_bundle.units.size();
    m_weights.resize(units);
    m_shifts.resize(units);
    m_exact.resize(units);
    m_exactWeights.resize(units);
    parallelFor(m_group.units.size(), m_run.threads, [&](std::size_t i, int) {
        m_run.job.checkCancelled();
        makeUnitWeights(m_group.units[i]);
    });
}

void GroupRun::makeUnitWeights(std::size_t u) {
    UnitState& state = m_states[u];
    const std::size_t modes = m_context.modes.size();
    const Regularization& reg = m_context.request.regularization;
    const double power = weightPower(m_context.request.variant);
    // The right side's norms count parameters that no sample of the left side moves.
    const bool norms = m_context.request.variant == Variant::cosine;
    m_weights[u].resize(modes);
    m_shifts[u].assign(modes, 0);
    m_exact[u].assign(modes, false);
    m_exactWeights[u].resize(modes);
    state.factors.assign(modes, 1);
    state.health.assign(modes, fisher::noHealth());
    if (!state.fisher.structural.empty()) {
        summarizeStructural(state.fisher);
    }
    if (m_bundle.units[u].columns.empty()) {
        state.fisher.structural = {}; // its sum was all that was asked for
        return;
    }
    for (std::size_t m = 0; m < modes; ++m) {
        const Mode mode = m_context.modes[m];
        ElementWeights w;
        if (m_context.profile()) {
            const auto& f = state.fisher.structural;
            const double lambda =
                reg.ridgeRelative * state.fisher.structuralSum / static_cast<double>(f.size());
            state.health[m] = fisher::health(f, 0, lambda);
            w.values.resize(f.size());
            for (std::size_t k = 0; k < f.size(); ++k) {
                w.values[k] = f[k] + lambda > 0 ? 1 / (f[k] + lambda) : 0;
            }
        } else {
            const bool later = mode == Mode::behavioral && state.fisher.behavioralElements.empty();
            if (!later) {
                state.health[m] = modeHealth(mode, state.fisher, reg);
            }
            if (degenerate(mode, state.fisher, reg)) {
                continue; // settled without weights
            }
            w = elementWeights(mode, power, state.fisher, reg);
        }
        state.factors[m] = w.factor;
        if (w.values.empty()) {
            continue;
        }
        int low = std::numeric_limits<int>::max();
        int high = std::numeric_limits<int>::min();
        bool infinite = false;
        for (std::size_t k = 0; k < w.values.size(); ++k) {
            double& v = w.values[k];
            if (state.coversLeft && !norms && state.fisher.structural[k] == 0) {
                v = 0; // multiplies nothing, and must not set the scale
            } else if (std::isinf(v)) {
                infinite = true;
            } else if (v > 0) {
                const int e = std::ilogb(v);
                low = std::min(low, e);
                high = std::max(high, e);
            }
        }
        // Products of scaled numbers stay within float32 for weights over 120 octaves.
        if (infinite || (high >= low && high - low > 120)) {
            m_exact[u][m] = true;
            m_exactWeights[u][m] = std::move(w.values);
            continue;
        }
        const int shift = high >= low ? low + (high - low) / 2 : 0;
        m_shifts[u][m] = shift;
        m_weights[u][m].resize(w.values.size());
        const double scale = std::ldexp(1.0, -shift);
        for (std::size_t k = 0; k < w.values.size(); ++k) {
            m_weights[u][m][k] = static_cast<float>(w.values[k] * scale);
        }
    }
    state.fisher.structural = {};
    state.fisher.structural.shrink_to_fit();
}

void GroupRun::score(const ActiveTile& tile) {
    const BundleParameter& parameter = parameterOf(tile);
    const std::size_t modes = m_context.modes.size();
    const bool cosine = m_context.request.variant == Variant::cosine;
    struct Work {
        std::size_t unit;
        const SideSamples* left;
        const SideSamples* right;
        std::vector<std::size_t> modes; ///< of each weight set
        std::vector<double> scaleA, scaleB, undoA, undoB;
        std::vector<double> scores, normsA, normsB;
    };
    std::vector<std::unique_ptr<Work>> works;
    std::vector<ScoreCall> calls;
    for (std::size_t v = 0; v < tile.views.size(); ++v) {
        const View& view = tile.views[v];
        UnitState& state = m_states[view.unit];
        if (m_bundle.units[view.unit].columns.empty()) {
            continue;
        }
        for (const SideSamples& l : m_run.left) {
            for (const SideSamples& r : m_run.right) {
                if (!m_run.allPairs && (l.task != 0 || r.task != 1)) {
                    continue;
                }
                auto work = std::make_unique<Work>();
                ScoreCall call;
                const auto side = [&](const SideSamples& s, const Operand& operand,
                                      std::vector<double>& scales, std::vector<double>& undos,
                                      const Tile*& data, std::span<const std::int32_t>& samples) {
                    const auto t = static_cast<std::size_t>(s.task);
                    const auto q = static_cast<std::size_t>(operand.quantity);
                    const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
                    data = numbers.tile.get();
                    samples = numbers.selected;
                    bool nonzero = false;
                    for (std::size_t i = 0; i < numbers.selected.size(); ++i) {
                        const double largest =
                            tile.statistics[t][q][v][static_cast<std::size_t>(numbers.selected[i])]
                                .largest;
                        nonzero = nonzero || largest > 0;
                        const double scale =
                            scaleFor(largest, numbers.tile->dtype, operand.transform);
                        double back = undo(scale, operand.transform);
                        if (operand.tokens) {
                            const auto sample =
                                static_cast<std::size_t>(taskOf(s.task).selected[i]);
                            back *= std::sqrt(double(taskOf(s.task).task->samples[sample].tokens));
                        }
                        scales.push_back(scale);
                        undos.push_back(back);
                    }
                    return nonzero;
                };
                const Operand a =
                    m_context.left(*parameter.entries[static_cast<std::size_t>(l.task)]);
                const Operand b =
                    m_context.right(*parameter.entries[static_cast<std::size_t>(r.task)]);
                const bool any = side(l, a, work->scaleA, work->undoA, call.a, call.samplesA);
                state.leftNonzero = state.leftNonzero || any;
                side(r, b, work->scaleB, work->undoB, call.b, call.samplesB);
                for (std::size_t m = 0; m < modes; ++m) {
                    const bool settled =
                        !m_context.profile() && (degenerate(m_context.modes[m], state.fisher,
                                                            m_context.request.regularization) ||
                                                 lacksBehavioral(m_context.modes[m], state.fisher));
                    if (m_exact[view.unit][m] || settled) {
                        continue;
                    }
                    const auto& w = m_weights[view.unit][m];
                    work->modes.push_back(m);
                    call.weights.push_back(w.empty() ? nullptr : w.data() + view.offset);
                }
                if (call.weights.empty()) {
                    continue;
                }
                work->unit = view.unit;
                work->left = &l;
                work->right = &r;
                const std::size_t nA = work->scaleA.size();
                const std::size_t nB = work->scaleB.size();
                work->scores.assign(call.weights.size() * nA * nB, 0);
                call.partA = call.partB = view.part;
                call.transformA = a.transform;
                call.transformB = b.transform;
                call.scaleA = work->scaleA.data();
                call.scaleB = work->scaleB.data();
                call.scores = work->scores.data();
                if (cosine) {
                    work->normsA.assign(call.weights.size() * nA, 0);
                    work->normsB.assign(call.weights.size() * nB, 0);
                    call.normsA = work->normsA.data();
                    call.normsB = work->normsB.data();
                }
                calls.push_back(std::move(call));
                works.push_back(std::move(work));
            }
        }
    }
    m_run.backend.score(calls, m_run.job);
    for (const auto& work : works) {
        UnitState& state = m_states[work->unit];
        const std::size_t nA = work->scaleA.size();
        const std::size_t nB = work->scaleB.size();
        for (std::size_t s = 0; s < work->modes.size(); ++s) {
            const std::size_t m = work->modes[s];
            const double weight = std::ldexp(1.0, m_shifts[work->unit][m]);
            for (std::size_t i = 0; i < nA; ++i) {
                double* row = state.scores[m].data() + (work->left->offset + i) * m_run.nRight +
                              work->right->offset;
                const double* from = work->scores.data() + (s * nA + i) * nB;
                const double factor = weight * work->undoA[i];
                for (std::size_t j = 0; j < nB; ++j) {
                    row[j] += from[j] * factor * work->undoB[j];
                }
            }
            for (std::size_t i = 0; cosine && i < nA; ++i) {
                state.normsLeft[m][work->left->offset + i] +=
                    work->normsA[s * nA + i] * weight * work->undoA[i] * work->undoA[i];
            }
            for (std::size_t j = 0; cosine && j < nB; ++j) {
                state.normsRight[m][work->right->offset + j] +=
                    work->normsB[s * nB + j] * weight * work->undoB[j] * work->undoB[j];
            }
        }
    }
}

void GroupRun::scoreExactly() {
    for (const std::size_t u : m_group.units) {
        for (std::size_t m = 0; m < m_exact[u].size(); ++m) {
            if (!m_exact[u][m]) {
                continue;
            }
            ExactProducts p =
                exactProducts(m_context, m_bundle, m_bundle.units[u], m_run.left, m_run.right,
                              m_run.nLeft, m_run.nRight, m_exactWeights[u][m], m_run.job);
            m_states[u].scores[m] = std::move(p.scores);
            m_states[u].normsLeft[m] = std::move(p.normsLeft);
            m_states[u].normsRight[m] = std::move(p.normsRight);
        }
    }
}

void GroupRun::run(const std::function<void()>& readAhead) {
    const std::size_t modes = m_context.modes.size();
    prepareFisher();
    for (const std::size_t u : m_group.units) {
        UnitState& state = m_states[u];
        const bool scored = !m_bundle.units[u].columns.empty();
        state.scores.assign(modes, std::vector<double>(scored ? m_run.nLeft * m_run.nRight : 0));
        state.normsLeft.assign(modes, std::vector<double>(m_run.nLeft));
        state.normsRight.assign(modes, std::vector<double>(m_run.nRight));
    }
    if (m_context.profile()) {
        eachTile([this](ActiveTile& tile) { collectSums(tile); });
    }
    if (m_computesFisher) {
        eachTile([this](ActiveTile& tile) { addFisher(tile); });
    } else if (m_group.resident) {
        eachTile([](ActiveTile&) {});
    }
    if (m_group.resident) {
        readAhead();
    }
    timed([this] { makeWeights(); });
    eachTile([this](ActiveTile& tile) { score(tile); });
    for (ActiveTile& tile : m_resident) {
        release(tile);
    }
    m_resident.clear();
    timed([this] { scoreExactly(); });
}

} // namespace

void runGroup(RunContext& run, const Group& group, std::vector<UnitState>& states,
              const std::function<void()>& readAhead) {
    GroupRun(run, group, states).run(readAhead);
}

void scanGroup(RunContext& run, const Group& group, Excluded& found,
               std::vector<std::string>& notes) {
    std::vector<UnitState> none(run.bundles[group.bundle].units.size());
    GroupRun(run, group, none).scan(found, notes);
}

} // namespace qkov::engine
