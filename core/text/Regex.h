// SPDX-License-Identifier: GPL-3.0-or-later
// Split patterns of tokenizer files. They are written for Oniguruma (Ruby syntax, Unicode) and run
// by PCRE2; where the two read a pattern differently it is rewritten, so that matches agree.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkov::text {

struct Match {
    std::size_t start = 0;
    std::size_t end = 0;
};

class Regex {
  public:
    /// @throws std::invalid_argument why the pattern can't be used
    explicit Regex(const std::string& pattern);
    /// Matches from left to right that don't overlap. `text` must be valid UTF-8.
    std::vector<Match> findAll(std::string_view text) const;

    /// The pattern in PCRE2's words: \s, \w, \h mean what Oniguruma means by them. Public for its
    /// test.
    static std::string translated(const std::string& pattern);

  private:
    struct Code;
    std::shared_ptr<const Code> m_code;
};

} // namespace qkov::text
