// SPDX-License-Identifier: GPL-3.0-or-later
// Results format version 1 (HDF5). Beyond what the format asks for, these files carry what is
// needed to show a result without its dump: /model (as in a dump), /head_types, /missing, /notes,
// samples' token counts and losses, and timings.
#pragma once

#include "base/Job.h"
#include "engine/Scores.h"

#include <filesystem>
#include <memory>

namespace qkov::results {

/// Writes every cell that is computed, atomically; cells without data are NaN.
/// @throws InputError if the file can't be written (nothing is left behind), Cancelled
void writeResults(const std::filesystem::path& file, const engine::Scores& scores, Job& job);

/// Header, means and health are read; pair matrices stay in the file and are read per cell.
/// The file is kept open as long as the result lives. Safe to use from several threads.
/// @throws InputError naming the path inside the file
std::shared_ptr<const engine::Scores> openResults(const std::filesystem::path& file);

} // namespace qkov::results
