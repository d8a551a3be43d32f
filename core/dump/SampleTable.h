// SPDX-License-Identifier: GPL-3.0-or-later
// /tasks/<task>/samples. Private to core/dump.
#pragma once

#include "dump/DumpInfo.h"
#include "dump/Hdf5.h"

#include <functional>

namespace qkov::dump {

/// Runs a part of the reading; may note its InputError and go on instead of throwing it.
using Attempt = std::function<void(const std::function<void()>&)>;

/// @throws InputError: no ids; under `attempt`: ids twice, columns of different length, negative
///         token counts
std::vector<SampleInfo> readSamples(const h5::Object& samples, const Attempt& attempt);

/// A one-dimensional dataset of strings of any kind; bytes that aren't UTF-8 become U+FFFD.
std::vector<std::string> readStrings(const h5::Object& dataset);
/// Integers of any width, [n] as expected, each within [lowest, highest]. @throws InputError
std::vector<std::int32_t> readIntegers(const h5::Object& dataset, std::int64_t n,
                                       std::int32_t lowest, std::int32_t highest);
bool isUtf8(const std::string& text);

} // namespace qkov::dump
