// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "text/JsonAccess.h"

#include <functional>

namespace qkov::text {

/// What `pre_tokenizer` of tokenizer.json does: cuts a normalised piece of text into words, and
/// with ByteLevel writes each byte as its symbol.
class PreTokenizer {
  public:
    using Words = std::vector<std::string>;

    /// @throws UnknownKind, InputError
    explicit PreTokenizer(const JsonPart& part);
    /// @param firstPiece the piece stands at the very start of the text (Metaspace asks)
    Words apply(std::string text, bool firstPiece) const;
    bool byteLevel() const { return m_byteLevel; }

  private:
    using Step = std::function<Words(Words, bool firstPiece)>;
    void add(const JsonPart& part);
    std::vector<Step> m_steps;
    bool m_byteLevel = false;
};

} // namespace qkov::text
