// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "figures/FigureSpec.h"
#include "plots/HeatmapLayout.h"

class QPainter;

namespace qkov::ui {

/// The kinds with two axes: bars, volcano, null.
void paintChart(QPainter& painter, const FigureSpec& spec, const QRectF& area,
                const PlotStyle& style);

} // namespace qkov::ui
