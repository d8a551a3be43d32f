// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace qkov::ui {

/// Makes HeatmapView known to assistive technology: the map, and in it the selected cell. Safe to
/// call more than once.
void installHeatmapAccessibility();

} // namespace qkov::ui
