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
/// @param pooled all ordered pairs of both tasks (engine::computePooled), for the tests
void writeResults(const std::filesystem::path& file, const engine::Scores& scores, Job& job,
                  const engine::Scores* pooled = nullptr);

/// Header, means and health are read; pair matrices stay in the file and are read per cell.
/// The file is kept open as long as the result lives. Safe to use from several threads.
/// @throws InputError naming the path inside the file
std::shared_ptr<const engine::Scores> openResults(const std::filesystem::path& file);

/// The pooled scores in a results file (samplesA = samplesB = task A's samples, then B's), read per
/// cell; null if it holds none. @throws InputError
std::shared_ptr<const engine::Scores> openPooled(const std::filesystem::path& file);

} // namespace qkov::results
