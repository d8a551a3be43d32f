// SPDX-License-Identifier: GPL-3.0-or-later
// Float64 all the way, one sample at a time: single pairs, requests of little work, and slices
// whose weights span more than float32 can hold. Slow and obvious. Internal to the engine.
#pragma once

#include "engine/Context.h"
#include "engine/Normalize.h"

#include <span>
#include <vector>

namespace qkov::engine {

enum class Side : std::uint8_t { left, right };

/// x (left: C of metric.md's A side) or y (right) of one sample over the unit: [K].
std::vector<double> readOperand(const Context& context, const Bundle& bundle, const Unit& unit,
                                int task, Side side, std::int64_t sample);
/// Contributions C of one sample: [K].
std::vector<double> readContributions(const Context& context, const Bundle& bundle,
                                      const Unit& unit, int task, std::int64_t sample);
/// Structural Fisher of a unit, stored or computed: [K].
std::vector<double> exactStructural(const Context& context, const Bundle& bundle, const Unit& unit,
                                    const Job& job);

/// One of a side's stretches of samples; profile for all pairs has two on each side.
struct SideSamples {
    int task = 0;
    std::size_t offset = 0; ///< of its first sample in the matrix of pairs
};

/// scores[i][j] = Σ_k x_ik w_k y_jk, and Σ w x², Σ w y². Empty weights: 1. 0 · ∞ counts as 0.
struct ExactProducts {
    std::vector<double> scores, normsLeft, normsRight;
};
ExactProducts exactProducts(const Context& context, const Bundle& bundle, const Unit& unit,
                            std::span<const SideSamples> left, std::span<const SideSamples> right,
                            std::size_t nLeft, std::size_t nRight,
                            const std::vector<double>& weights, const Job& job);

/// What a whole run in float64 costs, in products: those of all slices, and rebuilding and reading
/// what they are made of. Infinite for profile, whose sums come from tiles.
double exactWork(const Context& context, const std::vector<Bundle>& bundles);

} // namespace qkov::engine
