// SPDX-License-Identifier: GPL-3.0-or-later
// Task files: JSON Lines, one sample a line. No Torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace qkov::collect {

/// Labels of positions that are not predicted.
inline constexpr std::int32_t ignoredLabel = -100;

struct Sample {
    std::string id;
    std::string text;
    std::string group;
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> labels; ///< as long as ids; position t's label is predicted from t−1
    std::int32_t predicted = 0;       ///< labels other than −100 at positions ≥ 1
    bool truncated = false;
};

struct SampleRules {
    std::int64_t vocabulary = 0;
    std::int64_t maxTokens = 0;  ///< samples are cut to this; 0: no limit
    std::int64_t maxSamples = 0; ///< only the first so many; 0: all
    /// For samples without input_ids; empty: such samples are an error.
    std::function<std::vector<std::int32_t>(const std::string& text)> tokenize;
};

/// {"id", "text", "group", "input_ids", "labels"} per line; blank lines are skipped. Without an id
/// the line's number is the id. Unknown keys are ignored.
/// @throws InputError naming the line: broken JSON, wrong types, an id twice, no tokens, a token
///         outside the vocabulary, labels of another length, nothing to predict
std::vector<Sample> readSamples(const std::filesystem::path& file, const SampleRules& rules);

} // namespace qkov::collect
