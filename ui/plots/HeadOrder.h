// SPDX-License-Identifier: GPL-3.0-or-later
// Heads of each layer in another order than their numbers. A head's number means nothing across
// layers, so each row is sorted by itself.
#pragma once

#include "plots/HeatmapData.h"

#include <vector>

namespace qkov::ui {

enum class HeadSort : std::uint8_t {
    number, ///< as in the model
    value,  ///< largest first; missing ones last
    type,   ///< heads of the same mark together, the largest of them first
};

/// Places in the sorted map and in the model's, for every row.
class HeadOrder {
  public:
    HeadOrder() = default;
    /// @param by the map whose values decide; linked maps take the order of one of them
    HeadOrder(const HeatmapData& by, HeadSort sort, bool lowestFirst = false);

    bool natural() const { return m_original.empty(); }
    CellPosition original(CellPosition shown) const;
    CellPosition shown(CellPosition original) const;
    /// `data` sorted. Columns become ranks: labels and brackets of single heads are dropped.
    HeatmapData apply(HeatmapData data) const;

  private:
    int m_columns = 0;
    std::vector<int> m_original; ///< [rows × columns] model's column at each shown place
    std::vector<int> m_shown;    ///< the inverse
};

} // namespace qkov::ui
