// SPDX-License-Identifier: GPL-3.0-or-later
// From accumulated products to the scores of a layer. Internal to the engine.
#pragma once

#include "engine/GroupRun.h"
#include "engine/Scores.h"

#include <memory>
#include <string>
#include <vector>

namespace qkov::engine {

/// Behavioral value of every unit of a bundle whose dump stores none: the mean of the structural
/// Fisher over all parameters of the block's units of one type, each distinct slice once.
void setGroupMeans(const Bundle& bundle, std::vector<UnitState>& states);

/// One slice and mode: factors, sample scales, aggregation. Empty with a line in `missing` when the
/// cell has no value.
std::vector<float> finishUnit(const RunContext& run, const Bundle& bundle, std::size_t unit,
                              UnitState& state, std::size_t mode, std::string* missing);

/// Header of a result; samples and layers as selected, mode and estimator set.
ScoreHeader makeHeader(const Context& context, Mode mode, bool pooledPairs,
                       const std::string& device);

} // namespace qkov::engine
