// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/AddedTokens.h"

#include "text/Utf8.h"

#include <algorithm>

namespace qkov::text {

AddedTokens::Token AddedTokens::read(const JsonPart& part, std::int32_t id) {
    Token token;
    token.content = part.at("content").string();
    token.id = id;
    token.singleWord = part.booleanOr("single_word", false);
    token.lstrip = part.booleanOr("lstrip", false);
    token.rstrip = part.booleanOr("rstrip", false);
    token.normalized = part.booleanOr("normalized", !part.booleanOr("special", false));
    return token;
}

void AddedTokens::add(const Token& token) {
    if (!token.content.empty() && m_byContent.emplace(token.content, m_tokens.size()).second)
        m_tokens.push_back(token);
}

void AddedTokens::prepare(const Normalizer& normalizer) {
    for (std::size_t i = 0; i < m_tokens.size(); ++i) {
        const Token& token = m_tokens[i];
        if (token.normalized)
            m_normalized.add(normalizer.apply(token.content), i);
        else
            m_raw.add(token.content, i);
    }
}

std::optional<std::int32_t> AddedTokens::find(const std::string& content) const {
    const auto it = m_byContent.find(content);
    return it == m_byContent.end() ? std::nullopt : std::optional(m_tokens[it->second].id);
}

std::int32_t AddedTokens::largestId() const {
    std::int32_t largest = -1;
    for (const Token& token : m_tokens)
        largest = std::max(largest, token.id);
    return largest;
}

void AddedTokens::Finder::add(const std::string& text, std::size_t token) {
    if (text.empty() || !m_strings.emplace(text, token).second)
        return;
    auto& lengths = m_lengths[static_cast<unsigned char>(text.front())];
    if (std::find(lengths.begin(), lengths.end(), text.size()) == lengths.end())
        lengths.push_back(text.size());
    std::sort(lengths.rbegin(), lengths.rend());
}

std::vector<AddedTokens::Finder::Hit> AddedTokens::Finder::findAll(std::string_view text) const {
    std::vector<Hit> hits;
    if (m_strings.empty())
        return hits;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at + 1;
        for (const std::size_t length : m_lengths[static_cast<unsigned char>(text[at])]) {
            if (length > text.size() - at)
                continue;
            const auto it = m_strings.find(text.substr(at, length));
            if (it != m_strings.end()) {
                end = at + length;
                hits.push_back({at, end, it->second});
                break;
            }
        }
        at = end;
    }
    return hits;
}

std::vector<AddedTokens::Piece> AddedTokens::cut(std::string_view text, const Finder& finder,
                                                 bool atStart) const {
    std::vector<Piece> out;
    std::size_t done = 0;
    const auto put = [&](std::size_t from, std::size_t to, std::int32_t id) {
        if (to > from)
            out.push_back({std::string(text.substr(from, to - from)), id, atStart && from == 0});
    };
    for (const Finder::Hit& hit : finder.findAll(text)) {
        const Token& token = m_tokens[hit.token];
        std::size_t start = hit.start, end = hit.end;
        if (token.singleWord) {
            std::size_t behind = end;
            const bool touched = (start > 0 && isWord(characterBefore(text, start))) ||
                                 (end < text.size() && isWord(nextCharacter(text, behind)));
            if (touched)
                continue;
        }
        if (token.lstrip) {
            while (start > done && isWhitespace(characterBefore(text, start))) {
                do {
                    --start;
                } while ((static_cast<unsigned char>(text[start]) & 0xC0) == 0x80);
            }
        }
        if (token.rstrip) {
            for (std::size_t next = end;
                 next < text.size() && isWhitespace(nextCharacter(text, next));)
                end = next;
        }
        put(done, start, -1);
        put(start, end, token.id);
        done = end;
    }
    put(done, text.size(), -1);
    return out;
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text,
                                                   const Normalizer& normalizer) const {
    std::vector<Piece> out;
    for (Piece& piece : cut(text, m_raw, true)) {
        if (piece.id >= 0) {
            out.push_back(std::move(piece));
            continue;
        }
        const std::string normalizedText = normalizer.apply(std::move(piece.text));
        for (Piece& part : cut(normalizedText, m_normalized, piece.atStart))
            out.push_back(std::move(part));
    }
    return out;
}

} // namespace qkov::text
