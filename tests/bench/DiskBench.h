// SPDX-License-Identifier: GPL-3.0-or-later
// Reading from the disk and decompressing, measured beside what the machine can do.
#pragma once

#include <filesystem>
#include <functional>

namespace qkov::bench {

/// Takes a figure: its key in the JSON file, what it is, value, unit.
using Print = std::function<void(const char*, const char*, double, const char*)>;

/// A dump that is not in the page cache: opening, loading, computing beside a raw read.
void fromDisk(const std::filesystem::path& folder, const Print& print);

/// A dump of compressed chunks, from the page cache: loading beside one thread of HDF5.
void compressed(const std::filesystem::path& folder, const Print& print);

} // namespace qkov::bench
