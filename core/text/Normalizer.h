// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "text/JsonAccess.h"

#include <functional>

namespace qkov::text {

/// What `normalizer` of tokenizer.json does to a piece of text before it is split.
class Normalizer {
  public:
    /// @throws UnknownKind, InputError
    explicit Normalizer(const JsonPart& part);
    std::string apply(std::string text) const;
    bool empty() const { return m_steps.empty(); }

  private:
    void add(const JsonPart& part);
    std::vector<std::function<std::string(std::string)>> m_steps;
};

} // namespace qkov::text
