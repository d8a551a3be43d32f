// SPDX-License-Identifier: GPL-3.0-or-later
// A source seen through a change: fewer or reordered samples, scaled or zeroed gradients. The
// sanity checks score the same data twice, once altered. Internal to the engine.
#pragma once

#include "engine/GradientSource.h"

#include <map>
#include <string>
#include <vector>

namespace qkov::engine {

struct Alteration {
    /// Task name → dump indices to keep, in their new order. A task not named keeps all.
    std::map<std::string, std::vector<std::int64_t>> samples;
    /// g → scale · g, C → scale² · C, stored Fisher → scale² · Î.
    double scale = 1;
    /// Parameter → rectangles whose gradients and contributions become zero, in both tasks.
    std::map<std::string, std::vector<dump::Region>> zeroed;
    /// This task becomes one sample whose gradients are 1 everywhere, without a stored Fisher.
    std::string ones;
};

/// `source` must outlive it.
std::unique_ptr<GradientSource> alter(const GradientSource& source, Alteration alteration);

} // namespace qkov::engine
