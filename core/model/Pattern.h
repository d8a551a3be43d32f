// SPDX-License-Identifier: GPL-3.0-or-later
// Regular expressions over parameter names. Patterns come from strangers' layout files, so
// matching is bounded: a pattern that would run away simply does not match.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace qkov::model {

/// A pattern whose only capture group is the layer number.
class LayerPattern {
  public:
    LayerPattern() = default;
    /// @throws InputError without a file: not a valid expression, not exactly one capture group
    explicit LayerPattern(const std::string& expression);

    /// The layer, or nothing if `name` doesn't match (or the group is not a number).
    std::optional<std::int64_t> layerOf(const std::string& name) const;
    explicit operator bool() const { return bool(m_code); }

  private:
    std::shared_ptr<const void> m_code;
};

} // namespace qkov::model
