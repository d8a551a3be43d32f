// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "figures/FigureSpec.h"
#include "plots/HeatmapPainter.h"

class QPainter;

namespace qkov::ui {

/// Painter units per inch on every kind of page.
inline constexpr double figureUnitsPerInch = 1000;

/// @param pixel size of a device pixel in painter units; 0 for vector output
PlotStyle figureStyle(const FigureSpec& spec, double pixel);
/// The whole page, (0, 0) to spec.inches × figureUnitsPerInch, on white.
void paintFigure(QPainter& painter, const FigureSpec& spec, double pixel);
/// Height in inches that `spec` needs at its width.
double fittingHeight(const FigureSpec& spec);

} // namespace qkov::ui
