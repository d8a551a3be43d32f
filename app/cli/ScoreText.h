// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/Scores.h"

#include <filesystem>
#include <string>

namespace qkov::cli {

/// What a result says, for people: the finding, the blocks, the first conflicts.
/// @throws InputError every cell that was asked for is missing
void requireScores(const engine::Scores& scores, const std::filesystem::path& file);
std::string describeScores(const engine::Scores& scores, std::size_t conflicts);
/// "L3 H2 O"
std::string cellName(Cell cell);

} // namespace qkov::cli
