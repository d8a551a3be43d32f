// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/Bpe.h"

#include "text/Utf8.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <mutex>
#include <queue>

namespace qkov::text {

namespace {
constexpr std::size_t cacheWords = 1 << 16;
constexpr std::size_t cacheWordBytes = 256; ///< longer words hardly come twice

std::uint64_t pairKey(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
           static_cast<std::uint32_t>(right);
}
} // namespace

Bpe::Bpe(const JsonPart& part) {
    // Files of old versions don't name the type.
    const std::string type = part.has("type")     ? part.type()
                             : part.has("merges") ? "BPE"
                                                  : "unnamed";
    if (type != "BPE")
        part.unknown("the tokenizer model '" + type + "' is not known here");
    const JsonPart vocabulary = part.at("vocab");
    if (!vocabulary.value.is_object())
        vocabulary.fail("is not an object");
    m_vocabulary.reserve(vocabulary.value.size());
    for (const auto& [token, id] : vocabulary.value.items()) {
        const std::int32_t number =
            JsonPart{id, part.file, vocabulary.path + "['" + token + "']"}.id();
        m_vocabulary.emplace(token, number);
        m_largestId = std::max(m_largestId, number);
    }
    m_suffix = part.stringOr("end_of_word_suffix", "");
    m_prefix = part.stringOr("continuing_subword_prefix", "");
    m_fuseUnknown = part.booleanOr("fuse_unk", false);
    m_byteFallback = part.booleanOr("byte_fallback", false);
    m_ignoreMerges = part.booleanOr("ignore_merges", false);
    if (part.has("unk_token"))
        m_unknown = find(part.at("unk_token").string());
    readMerges(part.at("merges"));
}

void Bpe::readMerges(const JsonPart& merges) {
    const std::size_t count = merges.arraySize();
    if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        merges.fail("is too long");
    m_merges.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const JsonPart merge = merges.at(i);
        std::string left, right;
        if (merge.value.is_array()) {
            if (merge.value.size() != 2)
                merge.fail("is not a pair");
            left = merge.at(std::size_t(0)).string();
            right = merge.at(std::size_t(1)).string();
        } else {
            const std::string both = merge.string();
            const std::size_t space = both.find(' ');
            if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos)
                merge.fail("is not two tokens with a space between them");
            left = both.substr(0, space);
            right = both.substr(space + 1);
        }
        if (right.compare(0, m_prefix.size(), m_prefix) != 0)
            merge.fail("lacks the prefix '" + m_prefix + "' on its second token");
        const auto a = find(left), b = find(right),
                   joined = find(left + right.substr(m_prefix.size()));
        if (!a || !b || !joined)
            merge.fail("names a token that the vocabulary lacks");
        // Of a pair written twice the later rank counts.
        m_merges[pairKey(*a, *b)] = {static_cast<std::int32_t>(i), *joined};
    }
}

std::optional<std::int32_t> Bpe::find(std::string_view token) const {
    const auto it = m_vocabulary.find(token);
    return it == m_vocabulary.end() ? std::nullopt : std::optional(it->second);
}

std::vector<std::int32_t> Bpe::characters(std::string_view word) const {
    std::vector<std::int32_t> ids;
    bool unknownOpen = false; // an unknown token that following unknown characters may join
    std::string buffer;
    for (std::size_t at = 0; at < word.size();) {
        const std::size_t start = at;
        nextCharacter(word, at);
        std::string_view symbol = word.substr(start, at - start);
        if ((start > 0 && !m_prefix.empty()) || (at == word.size() && !m_suffix.empty())) {
            buffer = start > 0 ? m_prefix : std::string();
            buffer.append(symbol);
            if (at == word.size())
                buffer += m_suffix;
            symbol = buffer;
        }
        if (const auto id = find(symbol)) {
            if (unknownOpen)
                ids.push_back(*m_unknown);
            unknownOpen = false;
            ids.push_back(*id);
            continue;
        }
        if (m_byteFallback) {
            std::vector<std::int32_t> bytes;
            for (const char c : symbol) {
                char code[8];
                std::snprintf(code, sizeof code, "<0x%02X>",
                              static_cast<unsigned>(static_cast<unsigned char>(c)));
                if (const auto id = find(code))
                    bytes.push_back(*id);
            }
            if (bytes.size() == symbol.size()) {
                ids.insert(ids.end(), bytes.begin(), bytes.end());
                continue;
            }
        }
        if (m_unknown) { // without an unknown token the character is dropped
            if (unknownOpen && !m_fuseUnknown)
                ids.push_back(*m_unknown);
            unknownOpen = true;
        }
    }
    if (unknownOpen)
        ids.push_back(*m_unknown);
    return ids;
}

std::vector<std::int32_t> Bpe::merged(std::vector<std::int32_t> ids) const {
    // A linked list over positions, and a heap of the joins that are possible.
    struct Join {
        std::int32_t rank;
        std::size_t position;
        std::int32_t joined;
        bool operator>(const Join& other) const {
            return rank != other.rank ? rank > other.rank : position > other.position;
        }
    };
    constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
    const std::size_t n = ids.size();
    std::vector<std::size_t> previous(n), next(n);
    std::vector<char> gone(n, 0);
    std::priority_queue<Join, std::vector<Join>, std::greater<>> joins;
    const auto offer = [&](std::size_t left) {
        const std::size_t right = next[left];
        if (right == none)
            return;
        const auto it = m_merges.find(pairKey(ids[left], ids[right]));
        if (it != m_merges.end())
            joins.push({it->second.rank, left, it->second.joined});
    };
    for (std::size_t i = 0; i < n; ++i) {
        previous[i] = i == 0 ? none : i - 1;
        next[i] = i + 1 == n ? none : i + 1;
    }
    for (std::size_t i = 0; i < n; ++i)
        offer(i);
    while (!joins.empty()) {
        const Join join = joins.top();
        joins.pop();
        const std::size_t left = join.position;
        if (gone[left] || next[left] == none)
            continue;
        const std::size_t right = next[left];
        const auto it = m_merges.find(pairKey(ids[left], ids[right]));
        if (it == m_merges.end() || it->second.joined != join.joined)
            continue; // offered before one of the two changed
        ids[left] = join.joined;
        gone[right] = 1;
        next[left] = next[right];
        if (next[right] != none)
            previous[next[right]] = left;
        if (previous[left] != none)
            offer(previous[left]);
        offer(left);
    }
    std::vector<std::int32_t> out;
    for (std::size_t i = 0; i < n; ++i) {
        if (!gone[i])
            out.push_back(ids[i]);
    }
    return out;
}

void Bpe::encode(const std::string& word, std::vector<std::int32_t>& out) const {
    if (m_ignoreMerges) {
        if (const auto id = find(word)) {
            out.push_back(*id);
            return;
        }
    }
    const bool cached = word.size() <= cacheWordBytes;
    if (cached) {
        const std::shared_lock lock(m_cacheMutex);
        if (const auto it = m_cache.find(word); it != m_cache.end()) {
            out.insert(out.end(), it->second.begin(), it->second.end());
            return;
        }
    }
    const std::vector<std::int32_t> ids = merged(characters(word));
    out.insert(out.end(), ids.begin(), ids.end());
    if (cached) {
        const std::unique_lock lock(m_cacheMutex);
        if (m_cache.size() < cacheWords)
            m_cache.emplace(word, ids);
    }
}

} // namespace qkov::text
