// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"
#include "engine/Scores.h"

#include <filesystem>
#include <memory>

namespace qkov::results {

/// Results format version 1, atomically. @throws InputError, Cancelled
void writeResults(const std::filesystem::path& file, const engine::Scores& scores, Job& job);

/// Header, means and health are read; pair matrices stay in the file and are read per cell.
/// @throws InputError naming the path inside the file
std::shared_ptr<const engine::Scores> openResults(const std::filesystem::path& file);

} // namespace qkov::results
