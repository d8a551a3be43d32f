// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace qkov::collect {

/// Tokenises with the model directory's own tokenizer, opened at the first sample that needs it.
/// The returned function throws InputError: no usable tokenizer, text that is not UTF-8.
std::function<std::vector<std::int32_t>(const std::string&)>
sampleTokenizer(const std::filesystem::path& modelDirectory);

} // namespace qkov::collect
