// SPDX-License-Identifier: GPL-3.0-or-later
// The Fisher of one slice and the weights 1/D that follow from it. Internal to the engine.
#pragma once

#include "engine/Context.h"
#include "engine/Scores.h"
#include "fisher/Estimate.h"

#include <optional>
#include <span>
#include <vector>

namespace qkov::engine {

/// What is known of a slice's Fisher, pooled over the Fisher tasks as the request says.
struct UnitFisher {
    std::vector<double> structural; ///< [K]; empty: not needed
    fisher::Extent extent;          ///< of these, also once they are gone
    std::vector<double> behavioralElements; ///< [K]; empty: one value for the slice
    /// That value; NaN where the dump has none, −1 while its group is not known.
    double behavioral = -1;
};

/// Adds what the dump stores to `fisher` [K], each task's share; true if something is left to
/// compute from contributions. @throws InputError for NaN, infinite or negative numbers
bool addStoredStructural(const Context& context, const Bundle& bundle, const Unit& unit,
                         std::vector<double>& fisher);
/// The behavioral Fisher that the dump carries. @pre context.behavioralStored(weight's name)
void readStoredBehavioral(const Context& context, const Bundle& bundle, const Unit& unit,
                          UnitFisher& fisher);
/// 1 for most variants, 3/2 for natural: the weight is D^−power.
double weightPower(Variant variant);

/// The part of a mode's weight that differs within the slice.
struct ElementWeights {
    std::vector<double> values; ///< [K]; empty: 1 everywhere
    double factor = 1;          ///< a constant part that is known already
};
/// How a mode's weight follows from the structural Fisher alone, where nothing else differs within
/// the slice: D^−power, in (0, ∞).
struct StructuralPower {
    double lambda = 0, power = 0;
    double least = 0, most = 0; ///< weights
};
/// @param skipZero parameters without a Fisher get no weight
std::optional<StructuralPower> structuralPower(Mode mode, double power, const UnitFisher& fisher,
                                               const Regularization& regularization, bool skipZero);
ElementWeights elementWeights(Mode mode, double power, const UnitFisher& fisher,
                              const Regularization& regularization);
/// The rest: a factor for the whole slice, once the behavioral value is known.
double behavioralFactor(Mode mode, double power, const UnitFisher& fisher,
                        const Regularization& regularization);
/// The Fisher is zero all over the slice and λ = 0: nothing to normalise with.
bool degenerate(Mode mode, const UnitFisher& fisher, const Regularization& regularization);
CellHealth modeHealth(Mode mode, const UnitFisher& fisher, const Regularization& regularization);
/// No behavioral value where the mode needs one.
bool lacksBehavioral(Mode mode, const UnitFisher& fisher);

} // namespace qkov::engine
