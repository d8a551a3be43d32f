// SPDX-License-Identifier: GPL-3.0-or-later
// The steps of runGroup(), shared by the files that implement them. Internal to the engine.
#pragma once

#include "engine/GroupRun.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qkov::engine::detail {

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
    /// [task][quantity]; empty: not looked at, for numbers that need no scales. What is not finite
    /// then shows in the Fisher or in the scores.
    std::array<std::array<Statistics, 2>, 2> statistics;
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
    /// Loads a tile and finds its extremes; with its share of the Fisher, if asked for.
    ActiveTile activate(std::size_t index, bool withFisher);
    void load(LoadedNumbers& numbers, const dump::Region& region);
    void release(ActiveTile& tile) { m_run.loader.recycle(std::move(tile.loaded)); }
    void eachTile(double StageSeconds::*stage, const std::function<void(ActiveTile&)>& work,
                  bool withFisher);
    void timed(double StageSeconds::*stage, const std::function<void()>& work);
    void checkFinite(const ActiveTile& tile) const;
    [[noreturn]] void reportNonFinite(int task, Quantity quantity, const std::string& parameter,
                                      std::int64_t sample, const dump::Region& region) const;

    void prepareFisher();
    void prepare(ActiveTile& tile, bool withFisher);
    void lookAt(ActiveTile& tile, bool sums);
    void lookAtAll();
    void lookWhereSettled(ActiveTile& tile);
    bool settled(const UnitState& state, std::size_t mode) const;
    void collectSums(const ActiveTile& tile);
    void addProfile(const ActiveTile& tile);
    void makeWeights();
    void makeUnitWeights(std::size_t unit);
    bool weighStructural(std::size_t unit, std::size_t mode);
    void score(ActiveTile& tile);
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

} // namespace qkov::engine::detail
