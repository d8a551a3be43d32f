// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "text/JsonAccess.h"

namespace qkov::text {

/// The special tokens that `post_processor` of tokenizer.json puts before and behind a single text.
class PostProcessor {
  public:
    PostProcessor() = default;
    /// @throws UnknownKind, InputError
    explicit PostProcessor(const JsonPart& part);
    PostProcessor(std::vector<std::int32_t> before, std::vector<std::int32_t> behind)
        : m_before(std::move(before))
        , m_behind(std::move(behind)) {}
    std::vector<std::int32_t> apply(const std::vector<std::int32_t>& ids) const;

  private:
    void add(const JsonPart& part);
    std::vector<std::int32_t> m_before, m_behind;
};

} // namespace qkov::text
