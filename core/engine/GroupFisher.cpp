// SPDX-License-Identifier: GPL-3.0-or-later
// A slice's Fisher: what the dump stores, and sums over samples.
#include "engine/GroupSteps.h"

#include "base/Threads.h"
#include "fisher/Estimate.h"

#include <algorithm>
#include <cmath>

namespace qkov::engine {

namespace detail {

void GroupRun::prepareFisher() {
    const bool grouping =
        m_context.needsBehavioral() && !m_context.behavioralStored(m_bundle.parameters[0].name);
    if (m_context.profile() || m_context.needsStructural() || grouping) {
        for (const std::size_t u : m_group.units) {
            std::vector<double>& fisher = m_states[u].fisher.structural;
            if (!m_run.spareDoubles.empty()) {
                fisher = std::move(m_run.spareDoubles.back());
                m_run.spareDoubles.pop_back();
            }
        }
        parallelFor(m_group.units.size(), m_run.threads, [&](std::size_t i, int) {
            const std::size_t u = m_group.units[i];
            m_states[u].fisher.structural.assign(static_cast<std::size_t>(m_bundle.units[u].size),
                                                 0);
        });
    }
    for (const std::size_t u : m_group.units) {
        m_run.job.checkCancelled();
        const Unit& unit = m_bundle.units[u];
        UnitState& state = m_states[u];
        if (m_context.profile()) {
            state.sumsLeft.assign(m_run.nLeft, 0);
            state.sumsRight.assign(m_run.nRight, 0);
            state.coversLeft = true;
            m_computesFisher = true;
            continue;
        }
        if (m_context.needsStructural() || grouping) {
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

/// Extremes of what needs scales and, if asked for, what it adds to the Fisher of its slices.
void GroupRun::prepare(ActiveTile& tile, bool withFisher) {
    const BundleParameter& parameter = parameterOf(tile);
    const std::vector<int> tasks = m_context.fisherTasks();
    for (int task = 0; task < 2; ++task) {
        const auto t = static_cast<std::size_t>(task);
        const bool counts =
            withFisher && std::find(tasks.begin(), tasks.end(), task) != tasks.end() &&
            m_context.structuralOrigin(task, parameter.name) == FisherOrigin::computed;
        std::vector<PrepareCall> calls;
        std::vector<double> weights;
        for (std::size_t q = 0; q < 2; ++q) {
            const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
            if (!numbers.used) {
                continue;
            }
            Statistics& statistics = tile.statistics[t][q];
            const bool looks = !m_run.backend.unscaled(numbers.tile->dtype);
            if (looks) {
                statistics.assign(tile.views.size(),
                                  std::vector<SampleStatistics>(numbers.samples.size()));
            }
            const Operand operand = Context::contributions(*parameter.entries[t]);
            const bool behind = counts && operand.quantity == static_cast<Quantity>(q);
            if (behind) {
                weights =
                    fisher::sampleWeights(m_context.request.estimator.value_or(Estimator::ema),
                                          numbers.samples.size(), m_context.request.emaDecay);
                const double share = m_context.fisherShare(task, "structural", parameter.name);
                for (double& w : weights) {
                    w *= share;
                }
            }
            for (std::size_t v = 0; v < tile.views.size(); ++v) {
                std::vector<double>& fisher = m_states[tile.views[v].unit].fisher.structural;
                PrepareCall call;
                call.tile = numbers.tile.get();
                call.part = tile.views[v].part;
                call.statistics = looks ? statistics[v].data() : nullptr;
                if (behind && !fisher.empty()) {
                    call.transform = operand.transform;
                    call.weights = weights.data();
                    call.fisher = fisher.data() + tile.views[v].offset;
                }
                if (looks || call.fisher != nullptr) {
                    calls.push_back(call);
                }
            }
        }
        // Task by task: both add to the same sums, and a backend may run the calls of one list at
        // the same time.
        if (!calls.empty()) {
            m_run.backend.prepare(calls, m_run.job);
        }
    }
}

/// Extremes of all numbers, or with their sums.
void GroupRun::lookAt(ActiveTile& tile, bool sums) {
    std::vector<StatisticsCall> calls;
    for (std::size_t t = 0; t < 2; ++t) {
        for (std::size_t q = 0; q < 2; ++q) {
            const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
            if (!numbers.used) {
                continue;
            }
            Statistics& statistics = tile.statistics[t][q];
            statistics.assign(tile.views.size(),
                              std::vector<SampleStatistics>(numbers.samples.size()));
            for (std::size_t v = 0; v < tile.views.size(); ++v) {
                calls.push_back(
                    {numbers.tile.get(), tile.views[v].part, sums, statistics[v].data()});
            }
        }
    }
    m_run.backend.statistics(calls, m_run.job);
}

/// Profile: D' is the mean of x_u = C_u / Σ C_u over the samples with anything in the slice.
void GroupRun::addProfile(const ActiveTile& tile) {
    const BundleParameter& parameter = parameterOf(tile);
    for (const SideSamples& side : m_run.left) {
        const auto t = static_cast<std::size_t>(side.task);
        const Operand operand = Context::contributions(*parameter.entries[t]);
        const auto q = static_cast<std::size_t>(operand.quantity);
        const LoadedNumbers& numbers = tile.loaded->numbers[t][q];
        std::vector<FisherCall> calls;
        // Kept until the calls are done.
        std::vector<std::vector<double>> weights, scales;
        weights.reserve(tile.views.size());
        scales.reserve(tile.views.size());
        for (std::size_t v = 0; v < tile.views.size(); ++v) {
            UnitState& state = m_states[tile.views[v].unit];
            if (state.fisher.structural.empty()) {
                continue;
            }
            const double used = static_cast<double>(std::count_if(
                state.sumsLeft.begin(), state.sumsLeft.end(), [](double s) { return s > 0; }));
            std::vector<double>& weight = weights.emplace_back(numbers.samples.size(), 0);
            for (std::size_t i = 0; i < numbers.selected.size(); ++i) {
                const double sum = state.sumsLeft[side.offset + i];
                weight[static_cast<std::size_t>(numbers.selected[i])] =
                    sum > 0 ? 1 / (sum * used) : 0;
            }
            std::vector<double>& scale = scales.emplace_back(numbers.samples.size());
            for (std::size_t s = 0; s < scale.size(); ++s) {
                scale[s] = scaleFor(tile.statistics[t][q][v][s].largest, numbers.tile->dtype,
                                    operand.transform);
            }
            calls.push_back({numbers.tile.get(), tile.views[v].part, operand.transform,
                             scale.data(), weight.data(),
                             state.fisher.structural.data() + tile.views[v].offset});
        }
        m_run.backend.fisher(calls, m_run.job); // task by task, as above
    }
}

} // namespace detail

} // namespace qkov::engine
