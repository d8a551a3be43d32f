// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"

#include <filesystem>
#include <string>
#include <vector>

namespace qkov::dump {

/// Reads every number of a dump and reports every problem, one line each, empty: none. A line
/// names the path inside the file. Looks for all that opening it refuses, and for NaN, infinities
/// and negative contributions or Fisher values (how many, and where the first one is).
/// Holds at most a few MB per thread. @throws Cancelled; what is wrong with the file is returned,
/// never thrown
/// @param layoutJson as for DumpReader
std::vector<std::string> validateDump(const std::filesystem::path& file, Job& job,
                                      const std::string& layoutJson = {});

} // namespace qkov::dump
