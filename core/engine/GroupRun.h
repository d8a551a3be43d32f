// SPDX-License-Identifier: GPL-3.0-or-later
// The work on one group of slices: statistics, Fisher, weights, products. Internal to the engine.
#pragma once

#include "engine/Backend.h"
#include "engine/Exact.h"
#include "engine/Tiles.h"

#include <functional>
#include <memory>
#include <vector>

namespace qkov::engine {

/// What a slice's scoring leaves behind until the behavioral value of its group is known.
struct UnitState {
    UnitFisher fisher;
    bool coversLeft = false;  ///< zero Fisher here means zero contributions on the left
    bool leftNonzero = false; ///< some selected left sample has a non-zero number
    std::vector<double> sumsLeft, sumsRight; ///< profile: Σ x, Σ y per sample
    std::vector<std::vector<double>> scores; ///< per mode [nLeft · nRight], before factors
    std::vector<std::vector<double>> normsLeft, normsRight;
    std::vector<double> factors;    ///< per mode, what is known of them
    std::vector<CellHealth> health; ///< per mode; behavioral values come later
};

/// What all groups of a run share.
struct RunContext {
    const Context& context;
    const std::vector<Bundle>& bundles;
    Backend& backend;
    Loader& loader;
    Job& job;
    std::vector<SideSamples> left, right;
    std::size_t nLeft = 0, nRight = 0;
    bool allPairs = true; ///< else only task A's rows with task B's columns
    int threads = 1;
    /// Called after each tile of each pass with the parameters × passes it stood for.
    std::function<void(double)> advance;
    double computeSeconds = 0;
    StageSeconds stages;
    /// Memory of Fisher and weights, used again: fresh pages take as long as the sums.
    std::vector<std::vector<double>> spareDoubles;
    std::vector<std::vector<float>> spareFloats;
    bool exact = false; ///< so little work that all of it is done in float64
};

/// Fills the states of the group's units.
/// @throws InputError for NaN or infinity, Cancelled, OutOfTileMemory
void runGroup(RunContext& run, const Group& group, std::vector<UnitState>& states,
              const std::function<void()>& readAhead);

/// Finds samples with NaN or infinity in the group's tiles.
void scanGroup(RunContext& run, const Group& group, Excluded& found,
               std::vector<std::string>& notes);

} // namespace qkov::engine
