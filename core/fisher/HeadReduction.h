// SPDX-License-Identifier: GPL-3.0-or-later
// Element-wise Fisher reduced to one value per head, or per type of heads.
#pragma once

#include "dump/DumpInfo.h"
#include "model/HeadLayout.h"

#include <span>
#include <string>
#include <vector>

namespace qkov::fisher {

struct Reduced {
    std::vector<std::int64_t> shape;
    std::vector<double> values;
};

/// Mean over each head's part of a weight or bias. Separate projections: [H] (Q, O) or [G] (K, V);
/// fused: [3, H], where the K and V rows hold G values, then NaN.
/// @throws InputError `parameter` belongs to no head
Reduced reducePerHead(const model::HeadLayout& layout, const std::string& parameter,
                      const std::vector<std::int64_t>& shape, std::span<const double> values);

/// Mean over all of a block's parameters that belong to heads of the same type, every distinct
/// slice once. [n_types], or [3, n_types] for fused; NaN where no head of the layer has the type.
/// A kv head's type is that of its query heads if they agree, else "mixed".
Reduced reducePerType(const model::HeadLayout& layout, const std::string& parameter,
                      const std::vector<std::int64_t>& shape, std::span<const double> values,
                      const dump::HeadTypes& types);

} // namespace qkov::fisher
