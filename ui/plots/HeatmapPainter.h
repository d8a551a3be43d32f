// SPDX-License-Identifier: GPL-3.0-or-later
// Draws a heatmap or a colour bar into any painter: widget, PDF, SVG, PNG. Pure functions.
#pragma once

#include "plots/ColorMap.h"
#include "plots/HeatmapLayout.h"

class QPainter;

namespace qkov::ui {

/// Above this many cells a paper figure may hold the map as an image.
inline constexpr std::int64_t maxVectorCells = 40'000;

/// Everything that belongs to the figure; nothing of interaction (crosshair, selection).
void paintHeatmap(QPainter& painter, const HeatmapData& data, const ColorScale& scale,
                  const HeatmapLayout& layout, const PlotStyle& style,
                  const HeatmapOptions& options);

/// Hatching of `rect` as single lines (a brush pattern would become an image in a PDF). Lines of
/// neighbouring rectangles continue each other.
void paintHatching(QPainter& painter, const QRectF& rect, const PlotStyle& style);

/// Whether cells are large enough for the glyphs of head types.
bool marksVisible(const HeatmapData& data, const HeatmapLayout& layout, const PlotStyle& style,
                  const HeatmapOptions& options);

/// Black or white, whichever is easier to read on `background`.
QColor inkOn(QRgb background);

struct ColorBarLayout {
    QRectF bar;
    QRectF exponent; ///< "×10⁻⁷", above the ticks
    QRectF label;    ///< beside the ticks, read from below; as many lines as there is room for
    struct Tick {
        double value;
        double y;
        QString text;
    };
    std::vector<Tick> ticks;
    QString exponentText;
};
ColorBarLayout layoutColorBar(const ColorScale& scale, const QString& label, const QRectF& bounds,
                              const PlotStyle& style);
void paintColorBar(QPainter& painter, const ColorScale& scale, const QString& label,
                   const ColorBarLayout& layout, const PlotStyle& style);
/// Width that bar, ticks and label need, the label in so many lines.
double colorBarWidth(const ColorScale& scale, const QString& label, const PlotStyle& style,
                     int labelLines = 1);
/// Lines that the label takes along a bar of this height; more than `most`: it does not fit.
int colorBarLabelLines(const QString& label, double barHeight, const PlotStyle& style, int most);

/// Round values in [low, high], about `count` of them, with their texts; a common power of ten is
/// taken out where the numbers would be long.
struct AxisTicks {
    std::vector<double> values;
    QStringList texts;
    int exponent = 0; ///< values are texts × 10^exponent
};
AxisTicks axisTicks(double low, double high, int count, bool log = false);
/// Of a symlog scale: 0 and powers of ten on both sides.
AxisTicks symlogTicks(double low, double high, double linear, int count);
/// "×10⁻⁷"; empty for 0.
QString powerOfTen(int exponent);

} // namespace qkov::ui
