// SPDX-License-Identifier: GPL-3.0-or-later
// Orders of samples that show the structure of a pair matrix.
#pragma once

#include "dump/DumpInfo.h"

#include <utility>
#include <vector>

namespace qkov::ui {

/// By group name, then as stored. Empty when nothing would move.
std::vector<std::size_t> groupedOrder(const std::vector<dump::SampleInfo>& samples);

/// Rows and columns ordered so that alike ones are neighbours: by the first singular pair of the
/// double-centred matrix (of log values where all are positive). NaN counts as the mean.
std::pair<std::vector<std::size_t>, std::vector<std::size_t>>
seriate(const std::vector<float>& values, std::size_t rows, std::size_t columns);

} // namespace qkov::ui
