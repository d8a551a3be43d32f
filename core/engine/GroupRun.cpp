// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/GroupSteps.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace qkov::engine {

namespace detail {

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

void GroupRun::timed(double StageSeconds::*stage, const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    m_run.computeSeconds += seconds;
    m_run.stages.*stage += seconds;
}

ActiveTile GroupRun::activate(std::size_t index, bool withFisher) {
    ActiveTile tile;
    tile.loaded = m_run.loader.take(m_group.bundle, m_group.tiles[index]);
    if (index + 1 < m_group.tiles.size()) {
        m_run.loader.ahead(m_group.bundle, m_group.tiles[index + 1]);
    }
    tile.views = viewsOf(m_group.tiles[index]);
    const dump::Region& region = m_group.tiles[index].region;
    timed(&StageSeconds::prepare, [&] {
        for (auto& task : tile.loaded->numbers) {
            for (LoadedNumbers& numbers : task) {
                if (numbers.used) {
                    load(numbers, region);
                }
            }
        }
        if (m_context.profile()) {
            lookAt(tile, true);
        } else {
            prepare(tile, withFisher);
        }
    });
    return tile;
}

void GroupRun::load(LoadedNumbers& numbers, const dump::Region& region) {
    const auto samples = static_cast<std::int64_t>(numbers.samples.size());
    if (!numbers.factored) {
        const void* values = numbers.inPlace.values;
        numbers.tile = m_run.backend.load(
            DenseData{numbers.dtype, values != nullptr ? values : numbers.buffer.data.get(),
                      samples, region.rows, region.columns, numbers.inPlace.sampleBytes},
            m_run.job);
        return;
    }
    FactorData data;
    data.inputDtype = numbers.factorTypes[0];
    data.gradOutputDtype = numbers.factorTypes[1];
    data.input = numbers.buffer.data.get();
    data.gradOutput = numbers.gradOutput.data.get();
    data.offsets = numbers.offsets.data();
    if (numbers.onDevice.device >= 0) {
        data.onDevice = true;
        data.input = numbers.onDevice.input;
        data.gradOutput = numbers.onDevice.gradOutput;
        data.inputWidth = numbers.inputWidth;
        data.gradOutputWidth = numbers.gradOutputWidth;
        data.starts = numbers.starts.data();
    }
    data.samples = samples;
    data.rows = region.rows;
    data.columns = region.columns;
    data.inOut = numbers.inOut;
    numbers.tile = m_run.backend.load(data, m_run.job);
}

void GroupRun::eachTile(double StageSeconds::*stage, const std::function<void(ActiveTile&)>& work,
                        bool withFisher) {
    const auto count = [&](std::size_t i) {
        return static_cast<double>(m_group.tiles[i].region.count());
    };
    if (m_group.resident && !m_resident.empty()) {
        for (std::size_t i = 0; i < m_resident.size(); ++i) {
            timed(stage, [&] { work(m_resident[i]); });
            m_run.advance(count(i));
        }
        return;
    }
    for (std::size_t i = 0; i < m_group.tiles.size(); ++i) {
        ActiveTile tile = activate(i, withFisher);
        checkFinite(tile);
        timed(stage, [&] { work(tile); });
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

/// After something that is not finite turned up in a sum: names it.
void GroupRun::lookAtAll() {
    for (std::size_t i = 0; i < m_group.tiles.size(); ++i) {
        if (i < m_resident.size()) {
            lookAt(m_resident[i], false);
            checkFinite(m_resident[i]);
            continue;
        }
        ActiveTile tile = activate(i, false);
        lookAt(tile, false);
        checkFinite(tile);
        release(tile);
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
        ActiveTile tile = activate(i, false);
        timed(&StageSeconds::prepare, [&] { lookAt(tile, false); });
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

void GroupRun::run(const std::function<void()>& readAhead) {
    const std::size_t modes = m_context.modes.size();
    prepareFisher();
    for (const std::size_t u : m_group.units) {
        m_run.job.checkCancelled(); // fresh pages of large sums take long to clear
        UnitState& state = m_states[u];
        const bool scored = !m_bundle.units[u].columns.empty();
        state.scores.assign(modes, std::vector<double>(scored ? m_run.nLeft * m_run.nRight : 0));
        state.normsLeft.assign(modes, std::vector<double>(m_run.nLeft));
        state.normsRight.assign(modes, std::vector<double>(m_run.nRight));
    }
    if (m_context.profile()) {
        eachTile(
            &StageSeconds::prepare, [this](ActiveTile& tile) { collectSums(tile); }, false);
        eachTile(
            &StageSeconds::prepare, [this](ActiveTile& tile) { addProfile(tile); }, false);
    } else if (m_computesFisher || m_group.resident) {
        eachTile(
            &StageSeconds::prepare, [](ActiveTile&) {}, m_computesFisher);
    }
    if (m_group.resident) {
        readAhead();
    }
    timed(&StageSeconds::weights, [this] { makeWeights(); });
    eachTile(
        &StageSeconds::products, [this](ActiveTile& tile) { score(tile); }, false);
    for (ActiveTile& tile : m_resident) {
        release(tile);
    }
    m_resident.clear();
    for (auto& unit : m_weights) {
        for (std::vector<float>& weights : unit) {
            if (weights.capacity() > 0) {
                m_run.spareFloats.push_back(std::move(weights));
            }
        }
    }
    timed(&StageSeconds::products, [this] { scoreExactly(); });
}

} // namespace detail

void runGroup(RunContext& run, const Group& group, std::vector<UnitState>& states,
              const std::function<void()>& readAhead) {
    detail::GroupRun(run, group, states).run(readAhead);
}

void scanGroup(RunContext& run, const Group& group, Excluded& found,
               std::vector<std::string>& notes) {
    std::vector<UnitState> none(run.bundles[group.bundle].units.size());
    detail::GroupRun(run, group, none).scan(found, notes);
}

} // namespace qkov::engine
