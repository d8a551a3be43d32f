// SPDX-License-Identifier: GPL-3.0-or-later
// How far two maps of the same cells agree.
#pragma once

#include "engine/Scores.h"

#include <cstddef>
#include <vector>

namespace qkov::ui {

struct Agreement {
    std::size_t cells = 0;  ///< distinct cells with a value in both
    double rho = 0;         ///< engine::spearman
    std::size_t top = 0;    ///< k: the most conflicted cells looked at in each, ≤ cells
    std::size_t shared = 0; ///< of them in both
};

/// @param a, b values of the same cells; NaN: left out
/// @param lowest conflict is where values are low (signed, cosine)
Agreement agreement(const std::vector<double>& a, const std::vector<double>& b, std::size_t top,
                    bool lowest);
/// Means of a block's distinct cells (each kv slice once), NaN where missing, in map order.
std::vector<double> distinctMeans(const engine::Scores& scores, Block block);

} // namespace qkov::ui
