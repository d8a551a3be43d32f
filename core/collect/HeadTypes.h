// SPDX-License-Identifier: GPL-3.0-or-later
// Behavioral head types: what a head attends to, told from its attention patterns on probes of
// random tokens written twice. No Torch here.
#pragma once

#include "dump/DumpInfo.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::collect {

/// In this order in files. Olsson et al. 2022 for induction (prefix matching).
enum class HeadType : std::uint8_t {
    previousToken,
    sameToken,
    induction,
    positional,
    content,
    mixed,
};
inline constexpr std::size_t headTypeCount = 6;
/// "previous_token", …
std::vector<std::string> headTypeNames();

struct HeadTypeRules {
    double threshold = 0.4; ///< a score from which a head can be of the type
    double margin = 0.1;    ///< by which the best must lead the second
};

/// Scores of the first five types → type. The best of the first four if it reaches the threshold
/// and leads by the margin; else mixed if two of them reach it; else content if that does; else
/// mixed.
HeadType assignHeadType(const std::array<double, 5>& scores, const HeadTypeRules& rules = {});

/// Sequences of tokens, each its first half written twice.
using Probe = std::vector<std::vector<std::int32_t>>;

struct ProbeOptions {
    std::int64_t sequences = 32;
    std::int64_t half = 32; ///< random tokens before they are repeated
    std::uint64_t seed = 20220308;
};

/// @param special ids that are not drawn
/// @throws InputError the vocabulary or the positions are too small for a probe
Probe randomProbe(std::int64_t vocabulary, const std::vector<std::int32_t>& special,
                  std::int64_t maxPositions, const ProbeOptions& options = {});
/// JSON Lines with input_ids. @throws InputError also where a line is not a sequence written twice,
/// or no two lines have the same length
Probe readProbe(const std::filesystem::path& file, std::int64_t vocabulary,
                std::int64_t maxPositions);
/// Ids of bos, eos, pad… in config.json and of special tokens in tokenizer_config.json.
std::vector<std::int32_t> specialTokens(const std::string& configJson,
                                        const std::filesystem::path& modelDirectory);

} // namespace qkov::collect
