// SPDX-License-Identifier: GPL-3.0-or-later
// Estimators of the diagonal empirical Fisher, and what is said about one.
#pragma once

#include "engine/ScoreRequest.h"
#include "engine/Scores.h"
#include "engine/cpu/Kernels.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qkov::fisher {

/// Both estimators are weighted sums Î = Σ_i w_i C_i over the samples in order:
/// mean: w_i = 1/n; ema: F_t = β F_{t−1} + (1−β) C_t from F_0 = 0, corrected by 1/(1−βⁿ), that is
/// w_i = (1−β) β^{n−i} / (1−βⁿ), i = 1…n.
/// @throws UsageError unless 0 ≤ β < 1
std::vector<double> sampleWeights(engine::Estimator estimator, std::size_t samples, double decay);

/// λ = max(λ_abs, λ_rel · mean_S(F))
double ridge(const engine::Regularization& regularization, double meanFisher);

/// D = max(F, ε) + λ
inline double denominator(double fisher, double epsilon, double lambda) {
    return (fisher > epsilon ? fisher : epsilon) + lambda;
}

using Extent = engine::cpu::Extent;
/// Sum and extremes of F; a NaN or infinity shows in the sum.
Extent extentOf(std::span<const double> fisher);

/// min, median (mean of the middle two), max of F, share below max(ε, λ).
/// @param extent of F, where it is known already
engine::CellHealth health(std::span<const double> fisher, const Extent& extent, double epsilon,
                          double lambda);
engine::CellHealth health(std::span<const double> fisher, double epsilon, double lambda);
engine::CellHealth constantHealth(double fisher, double epsilon, double lambda);
engine::CellHealth noHealth();

} // namespace qkov::fisher
