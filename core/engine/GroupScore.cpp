// SPDX-License-Identifier: GPL-3.0-or-later
// Weights from the Fisher, and the products.
#include "engine/GroupSteps.h"
#include "engine/cpu/Kernels.h"

#include "base/Threads.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace qkov::engine {

namespace {

/// Products of numbers that are scaled, or need no scales, stay within float32 for weights over so
/// many octaves.
constexpr int mostOctaves = 100;

} // namespace

namespace detail {

void GroupRun::makeWeights() {
    const std::size_t units = m_bundle.units.size();
    m_weights.resize(units);
    m_shifts.resize(units);
    m_exact.resize(units);
    m_exactWeights.resize(units);
    const std::size_t modes = m_context.modes.size();
    for (const std::size_t u : m_group.units) {
        m_weights[u].resize(modes);
        for (std::vector<float>& weights : m_weights[u]) {
            if (!m_run.spareFloats.empty()) {
                weights = std::move(m_run.spareFloats.back());
                m_run.spareFloats.pop_back();
                weights.clear();
            }
        }
    }
    parallelFor(m_group.units.size(), m_run.threads, [&](std::size_t i, int) {
        m_run.job.checkCancelled();
        makeUnitWeights(m_group.units[i]);
    });
    for (const std::size_t u : m_group.units) {
        UnitFisher& fisher = m_states[u].fisher;
        if (!std::isfinite(fisher.extent.sum)) {
            lookAtAll();
        }
        if (!fisher.structural.empty()) {
            m_run.spareDoubles.push_back(std::move(fisher.structural));
            fisher.structural = {};
        }
    }
}

/// Weights that follow from the structural Fisher alone; false: they don't, or lie too far apart.
bool GroupRun::weighStructural(std::size_t u, std::size_t m) {
    UnitState& state = m_states[u];
    const bool skipZero = state.coversLeft && m_context.request.variant != Variant::cosine;
    const auto p = structuralPower(m_context.modes[m], weightPower(m_context.request.variant),
                                   state.fisher, m_context.request.regularization, skipZero);
    if (!p) {
        return false;
    }
    const int low = std::ilogb(p->least);
    const int high = std::ilogb(p->most);
    if (high - low > mostOctaves) {
        return false;
    }
    const int shift = low + (high - low) / 2;
    m_shifts[u][m] = shift;
    m_weights[u][m].resize(state.fisher.structural.size());
    cpu::kernels().weigh(state.fisher.structural.data(),
                         static_cast<std::int64_t>(state.fisher.structural.size()),
                         m_context.request.regularization.epsilon, p->lambda,
                         static_cast<int>(std::lround(p->power * 4)), std::ldexp(1.0, -shift),
                         skipZero, m_weights[u][m].data());
    return true;
}

void GroupRun::makeUnitWeights(std::size_t u) {
    UnitState& state = m_states[u];
    const std::size_t modes = m_context.modes.size();
    const Regularization& reg = m_context.request.regularization;
    const double power = weightPower(m_context.request.variant);
    // The right side's norms count parameters that no sample of the left side moves.
    const bool norms = m_context.request.variant == Variant::cosine;
    m_shifts[u].assign(modes, 0);
    m_exact[u].assign(modes, false);
    m_exactWeights[u].resize(modes);
    state.factors.assign(modes, 1);
    state.health.assign(modes, fisher::noHealth());
    if (!state.fisher.structural.empty()) {
        if (m_run.exact) {
            state.fisher.structural =
                exactStructural(m_context, m_bundle, m_bundle.units[u], m_run.job);
        }
        state.fisher.extent = fisher::extentOf(state.fisher.structural);
    }
    if (m_bundle.units[u].columns.empty()) {
        return; // its sum was all that was asked for
    }
    std::optional<CellHealth> ofStructural; // hybrid's too
    for (std::size_t m = 0; m < modes; ++m) {
        const Mode mode = m_context.modes[m];
        ElementWeights w;
        if (m_context.profile()) {
            const auto& f = state.fisher.structural;
            const double lambda =
                reg.ridgeRelative * state.fisher.extent.sum / static_cast<double>(f.size());
            state.health[m] = fisher::health(f, state.fisher.extent, 0, lambda);
            w.values.resize(f.size());
            for (std::size_t k = 0; k < f.size(); ++k) {
                w.values[k] = f[k] + lambda > 0 ? 1 / (f[k] + lambda) : 0;
            }
        } else {
            const bool later = mode == Mode::behavioral && state.fisher.behavioralElements.empty();
            if (mode != Mode::behavioral) {
                if (!ofStructural) {
                    ofStructural = modeHealth(mode, state.fisher, reg);
                }
                state.health[m] = *ofStructural;
            } else if (!later) {
                state.health[m] = modeHealth(mode, state.fisher, reg);
            }
            if (degenerate(mode, state.fisher, reg)) {
                continue; // settled without weights
            }
            if (!m_run.exact && weighStructural(u, m)) {
                continue;
            }
            w = elementWeights(mode, power, state.fisher, reg);
        }
        state.factors[m] = w.factor;
        if (w.values.empty()) {
            m_exact[u][m] = m_run.exact;
            continue;
        }
        double least = std::numeric_limits<double>::infinity();
        double most = 0;
        bool infinite = false;
        for (std::size_t k = 0; k < w.values.size(); ++k) {
            double& v = w.values[k];
            if (state.coversLeft && !norms && state.fisher.structural[k] == 0) {
                v = 0; // multiplies nothing, and must not set the scale
            } else if (std::isinf(v)) {
                infinite = true;
            } else if (v > 0) {
                least = std::min(least, v);
                most = std::max(most, v);
            }
        }
        const int low = most > 0 ? std::ilogb(least) : 0;
        const int high = most > 0 ? std::ilogb(most) : 0;
        if (m_run.exact || infinite || high - low > mostOctaves) {
            m_exact[u][m] = true;
            m_exactWeights[u][m] = std::move(w.values);
            continue;
        }
        const int shift = low + (high - low) / 2;
        m_shifts[u][m] = shift;
        m_weights[u][m].resize(w.values.size());
        const double scale = std::ldexp(1.0, -shift);
        for (std::size_t k = 0; k < w.values.size(); ++k) {
            m_weights[u][m][k] = static_cast<float>(w.values[k] * scale);
        }
    }
}

bool GroupRun::settled(const UnitState& state, std::size_t mode) const {
    return !m_context.profile() &&
           (degenerate(m_context.modes[mode], state.fisher, m_context.request.regularization) ||
            lacksBehavioral(m_context.modes[mode], state.fisher));
}

/// Numbers that are not multiplied, or whose Fisher is or may turn out to be zero: whether there
/// are any, and whether they are finite, must be seen from themselves.
void GroupRun::lookWhereSettled(ActiveTile& tile) {
    for (const View& view : tile.views) {
        const UnitState& state = m_states[view.unit];
        const bool pending = m_context.needsBehavioral() && state.fisher.behavioral < 0 &&
                             state.fisher.behavioralElements.empty() &&
                             state.fisher.extent.sum == 0;
        bool any = pending && !m_context.profile();
        for (std::size_t m = 0; m < m_context.modes.size(); ++m) {
            any = any || settled(state, m);
        }
        if (any && !m_bundle.units[view.unit].columns.empty()) {
            lookAt(tile, false);
            checkFinite(tile);
            return;
        }
    }
}

void GroupRun::score(ActiveTile& tile) {
    lookWhereSettled(tile);
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
                    const Statistics& statistics = tile.statistics[t][q];
                    // Asked for where the Fisher is zero; then they were looked at.
                    bool nonzero = statistics.empty();
                    for (std::size_t i = 0; i < numbers.selected.size(); ++i) {
                        const double largest =
                            statistics.empty()
                                ? 0
                                : statistics[v][static_cast<std::size_t>(numbers.selected[i])]
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
                    if (m_exact[view.unit][m] || settled(state, m)) {
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
    if (!calls.empty()) {
        m_run.backend.score(calls, m_run.job);
    }
    bool finite = true;
    for (const auto& work : works) {
        m_run.job.checkCancelled();
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
                    finite = finite && std::isfinite(from[j]);
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
    if (!finite) {
        lookAt(tile, false);
        checkFinite(tile);
    }
}

void GroupRun::scoreExactly() {
    std::vector<std::pair<std::size_t, std::size_t>> work; // unit, mode
    for (const std::size_t u : m_group.units) {
        for (std::size_t m = 0; m < m_exact[u].size(); ++m) {
            if (m_exact[u][m] && !settled(m_states[u], m)) {
                work.emplace_back(u, m);
            }
        }
    }
    std::atomic<bool> finite{true};
    // Large slices share the memory budget.
    parallelFor(work.size(), m_run.exact ? m_run.threads : 1, [&](std::size_t i, int) {
        const auto [u, m] = work[i];
        ExactProducts p =
            exactProducts(m_context, m_bundle, m_bundle.units[u], m_run.left, m_run.right,
                          m_run.nLeft, m_run.nRight, m_exactWeights[u][m], m_run.job);
        const auto good = [](const std::vector<double>& v) {
            return std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); });
        };
        if (!good(p.scores) || !good(p.normsLeft) || !good(p.normsRight)) {
            finite = false;
        }
        m_states[u].scores[m] = std::move(p.scores);
        m_states[u].normsLeft[m] = std::move(p.normsLeft);
        m_states[u].normsRight[m] = std::move(p.normsRight);
    });
    if (!finite) {
        lookAtAll(); // names it; weights without bounds may have done it, too
    }
}

} // namespace detail

} // namespace qkov::engine
