// SPDX-License-Identifier: GPL-3.0-or-later
// UTF-8 and the character classes that tokenizers ask for.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace qkov::text {

/// Offset of the first byte that is not part of valid UTF-8 (overlong forms, surrogates and values
/// past U+10FFFF are invalid); npos if all is valid.
std::size_t invalidUtf8(std::string_view text);

/// Decodes the character at `at` and moves `at` behind it. `text` must be valid UTF-8.
char32_t nextCharacter(std::string_view text, std::size_t& at);
/// Decodes the character that ends at `at` (at > 0).
char32_t characterBefore(std::string_view text, std::size_t at);
void appendUtf8(std::string& out, char32_t c);

bool isNumeric(char32_t c);     ///< categories Nd, Nl, No
bool isPunctuation(char32_t c); ///< categories P*, and ASCII punctuation
bool isWhitespace(char32_t c);  ///< White_Space
bool isWord(char32_t c);        ///< Alphabetic, marks, decimal digits, connectors, joiners
bool isNonspacingMark(char32_t c);

/// The printable character that stands for each byte in byte-level vocabularies, as UTF-8.
const std::array<std::string, 256>& byteSymbols();

} // namespace qkov::text
