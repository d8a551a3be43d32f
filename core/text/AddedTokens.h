// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "text/JsonAccess.h"
#include "text/Normalizer.h"

#include <functional>
#include <map>

namespace qkov::text {

/// Tokens beside the model's vocabulary, special ones above all, that are found in the text as they
/// are written before anything else happens to it.
class AddedTokens {
  public:
    struct Token {
        std::string content;
        std::int32_t id = 0;
        bool singleWord = false; ///< only where no word character touches it
        bool lstrip = false;     ///< takes the spaces before it
        bool rstrip = false;     ///< takes the spaces behind it
        bool normalized = true;  ///< looked for in the normalised text
    };
    /// Text, or an added token where `id` is set.
    struct Piece {
        std::string text;
        std::int32_t id = -1;
        bool atStart = false; ///< of the whole text
    };

    /// A token whose content is empty or known already is left out.
    void add(const Token& token);
    /// Reads one entry of `added_tokens`. @param id overrides the entry's own
    static Token read(const JsonPart& part, std::int32_t id);
    /// To be called once, after the last add().
    void prepare(const Normalizer& normalizer);
    /// Cuts and normalises. Token pieces keep their place among the text pieces.
    std::vector<Piece> split(std::string_view text, const Normalizer& normalizer) const;
    std::optional<std::int32_t> find(const std::string& content) const;
    std::int32_t largestId() const;

  private:
    /// Finds the leftmost, longest of several strings.
    class Finder {
      public:
        void add(const std::string& text, std::size_t token);
        struct Hit {
            std::size_t start, end, token;
        };
        std::vector<Hit> findAll(std::string_view text) const;

      private:
        std::map<std::string, std::size_t, std::less<>> m_strings;
        std::array<std::vector<std::size_t>, 256> m_lengths; ///< by first byte, longest first
    };
    std::vector<Piece> cut(std::string_view text, const Finder& finder, bool atStart) const;

    std::vector<Token> m_tokens;
    std::map<std::string, std::size_t, std::less<>> m_byContent;
    Finder m_raw, m_normalized;
};

} // namespace qkov::text
