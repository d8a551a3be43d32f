// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "text/JsonAccess.h"

#include <optional>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>

namespace qkov::text {

struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// The `model` of tokenizer.json where it is BPE: a word's characters are joined pair by pair, the
/// pair of lowest rank first, the leftmost of equals.
class Bpe {
  public:
    /// @throws UnknownKind the model is no BPE; InputError
    explicit Bpe(const JsonPart& part);

    /// Appends the ids of one pre-tokenised word. Thread-safe; words seen before come from a cache.
    void encode(const std::string& word, std::vector<std::int32_t>& out) const;
    std::optional<std::int32_t> find(std::string_view token) const;
    std::int32_t largestId() const { return m_largestId; }

  private:
    struct Merge {
        std::int32_t rank;
        std::int32_t joined;
    };
    void readMerges(const JsonPart& merges);
    std::vector<std::int32_t> characters(std::string_view word) const;
    std::vector<std::int32_t> merged(std::vector<std::int32_t> ids) const;

    StringMap<std::int32_t> m_vocabulary;
    std::unordered_map<std::uint64_t, Merge> m_merges; ///< key: left id << 32 | right id
    std::string m_suffix;                              ///< end_of_word_suffix
    std::string m_prefix;                              ///< continuing_subword_prefix
    std::optional<std::int32_t> m_unknown;
    bool m_fuseUnknown = false;
    bool m_byteFallback = false;
    bool m_ignoreMerges = false;
    std::int32_t m_largestId = -1;

    mutable std::shared_mutex m_cacheMutex;
    mutable StringMap<std::vector<std::int32_t>> m_cache;
};

} // namespace qkov::text
