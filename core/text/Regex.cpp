// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/Regex.h"

#include "text/Utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdexcept>

namespace qkov::text {

namespace {
// White_Space, without U+180E that PCRE2 counts; and Oniguruma's word characters, where the first
// 256 follow Latin-1 (the superscripts and fractions are in).
constexpr const char* spaceSet = "\\t-\\r\\x{85}\\p{Z}";
constexpr const char* wordSet =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";
constexpr const char* hexSet = "0-9a-fA-F";

struct MatchData {
    explicit MatchData(const pcre2_code* code)
        : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
    ~MatchData() { pcre2_match_data_free(data); }
    MatchData(const MatchData&) = delete;
    MatchData& operator=(const MatchData&) = delete;
    pcre2_match_data* data;
};

std::string pcreMessage(int code) {
    PCRE2_UCHAR buffer[256];
    pcre2_get_error_message(code, buffer, sizeof buffer);
    return reinterpret_cast<const char*>(buffer);
}
} // namespace

struct Regex::Code {
    pcre2_code* code = nullptr;
    bool compiled = false; ///< to machine code
    ~Code() { pcre2_code_free(code); }
};

std::string Regex::translated(const std::string& pattern) {
    std::string out;
    int depth = 0; // of sets in sets; Oniguruma joins them, PCRE2 has none
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char e = pattern[++i];
            const char* set = e == 's' || e == 'S'   ? spaceSet
                              : e == 'w' || e == 'W' ? wordSet
                              : e == 'h' || e == 'H' ? hexSet
                                                     : nullptr;
            const bool negated = e == 'S' || e == 'W' || e == 'H';
            if (!set)
                out.append({c, e});
            else if (depth == 0)
                out += std::string(negated ? "[^" : "[") + set + "]";
            else if (!negated)
                out += set;
            else
                throw std::invalid_argument(std::string("\\") + e + " inside [ ] is not supported");
            continue;
        }
        if (c == '[' && depth > 0 && pattern.compare(i, 2, "[:") == 0) { // [:name:]
            const std::size_t end = pattern.find(":]", i);
            if (end == std::string::npos)
                throw std::invalid_argument("a set is not closed");
            const std::string name = pattern.substr(i, end + 2 - i);
            out += name == "[:punct:]" ? "\\p{P}" : name; // PCRE2 adds ASCII's symbols
            i = end + 1;
            continue;
        }
        if (c == '[') {
            const bool negated = i + 1 < pattern.size() && pattern[i + 1] == '^';
            if (depth > 0 && negated)
                throw std::invalid_argument("negated sets inside sets are not supported");
            if (depth == 0)
                out += negated ? "[^" : "[";
            i += negated;
            if (i + 1 < pattern.size() && pattern[i + 1] == ']') { // first in a set, it is itself
                out += "\\]";
                ++i;
            }
            ++depth;
            continue;
        }
        if (depth > 0 && c == '&' && pattern.compare(i, 2, "&&") == 0)
            throw std::invalid_argument("intersections of sets are not supported");
        if (depth > 0 && c == ']' && --depth > 0)
            continue;
        out += c;
    }
    return out;
}

Regex::Regex(const std::string& pattern) {
    const std::string text = translated(pattern);
    int error = 0;
    PCRE2_SIZE at = 0;
    auto* context = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    // Ruby's ^ and $ stand at every line.
    auto code = std::make_shared<Code>();
    code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                               PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                               &error, &at, context);
    pcre2_compile_context_free(context);
    if (!code->code)
        throw std::invalid_argument(pcreMessage(error));
    code->compiled = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
    m_code = code;
}

std::vector<Match> Regex::findAll(std::string_view text) const {
    std::vector<Match> out;
    const MatchData match(m_code->code);
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    std::size_t at = 0, lastEnd = std::string_view::npos;
    while (at <= text.size()) {
        int rc = pcre2_match(m_code->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.data,
                             nullptr);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT) // the interpreter's stack is on the heap
            rc = pcre2_match(m_code->code, subject, text.size(), at,
                             PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match.data, nullptr);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            throw std::runtime_error("a text is too hard for the tokenizer's pattern: " +
                                     pcreMessage(rc));
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.data);
        if (span[0] == span[1] && span[1] == lastEnd) { // nothing, right behind the last match
            if (at >= text.size())
                break;
            nextCharacter(text, at);
            continue;
        }
        out.push_back({span[0], span[1]});
        at = lastEnd = span[1];
    }
    return out;
}

} // namespace qkov::text
