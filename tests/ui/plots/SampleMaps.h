// SPDX-License-Identifier: GPL-3.0-or-later
// Maps with every feature, made by formula.
#pragma once

#include "plots/ColorMap.h"
#include "plots/HeatmapData.h"

#include <cmath>
#include <limits>

namespace qkov::ui::testing {

/// Values from 0 up, smooth with single hot cells; the same on every machine.
inline HeatmapData sampleMap(int rows, int columns, const QString& title) {
    HeatmapData d;
    d.title = title;
    d.rowTitle = QStringLiteral("Layer");
    d.columnTitle = QStringLiteral("Head");
    d.rows = rows;
    d.columns = columns;
    const int seed = title.isEmpty() ? 0 : title.front().unicode();
    for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c) {
            const double wave =
                1 + std::sin(0.7 * r + seed) * std::cos(0.9 * c) + 0.3 * std::sin(2.3 * r * c);
            d.values.push_back(std::abs(wave) * ((r * 7 + c * 3 + seed) % 11 == 0 ? 1.8 : 0.7));
        }
    }
    return d;
}

inline ColorScale fitted(const HeatmapData& d, ColorMap map = ColorMap::Id::viridis) {
    return ColorScale::fit(map, {std::span<const double>(d.values)});
}

} // namespace qkov::ui::testing
