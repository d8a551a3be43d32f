// SPDX-License-Identifier: GPL-3.0-or-later
// Where everything of a heatmap goes: one set of rules for screen and paper.
#pragma once

#include "plots/HeatmapData.h"
#include "plots/Palette.h"

#include <QFont>
#include <QRectF>

#include <optional>

namespace qkov::ui {

/// How a plot looks on one device. Lengths of the drawing code are given in screen pixels or, on
/// paper, in points; `unit` says how many painter units that is.
struct PlotStyle {
    const Palette* palette = &Palette::paper();
    QFont font;      ///< ticks and axis titles; in painter units (pixel size) on paper
    QFont titleFont; ///< panel titles
    double unit = 1;
    /// Size of a device pixel in painter units: cell edges are put on pixels. 0: vector output,
    /// nothing is moved, and cells overlap so that no gap shows between them.
    double pixel = 1;
    bool vector() const { return pixel <= 0; }
    double tickDensity = 1; ///< labels and ticks per length, as a multiple of the usual
    bool decimalComma = false;
    QString localized(QString number) const {
        return decimalComma ? number.replace(u'.', u',') : number;
    }

    /// For a widget: its font, its palette's colours, its pixels.
    static PlotStyle screen(const QWidget* widget);
};

struct HeatmapOptions {
    bool squareCells = true;   ///< on where it costs less than half the area
    bool alwaysSquare = false; ///< whatever it costs
    bool evenCells = true;     ///< on raster devices, all of the same number of pixels
    bool rowZeroAtTop = true;
    bool axisTitles = true;
    bool marks = true;           ///< glyphs, where cells are large enough
    bool annotate = false;       ///< numbers in the cells, where all of them fit
    int annotationDigits = 2;    ///< significant
    bool alignLeft = false;      ///< else the map is centred in its bounds
    std::optional<QRectF> range; ///< visible cells; none: all
};

struct HeatmapLayout {
    QRectF bounds;
    QRectF room;  ///< bounds less title, labels, brackets
    QRectF plot;  ///< the cells, within the room
    QRectF range; ///< visible cells in cell units, y counted in rows
    QRectF title;
    double cellWidth = 0, cellHeight = 0;
    double rowLabelRight = 0; ///< right edge of the row labels
    double rowLabelWidth = 0;
    double columnLabelTop = 0;
    double columnLabelHeight = 0;
    double rowBracketX = 0, columnBracketY = 0;
    double rowBandX = 0, columnBandY = 0, bandSize = 0;
    QRectF rowBars, columnBars; ///< right of the map, above it; null without margins
    QRectF rowTitle, columnTitle;
    int rowStep = 1, columnStep = 1; ///< every n-th label is shown
    bool columnLabelsRotated = false;
    bool rowZeroAtTop = true;
    double pixel = 0;

    /// Edge before column (row) `c`, in painter units; snapped to pixels on raster devices.
    double x(double column) const;
    double y(double row) const; ///< the edge nearer to row zero
    QRectF cellRect(int row, int column) const;
    std::optional<CellPosition> cellAt(const QPointF& position, const HeatmapData& data) const;
    QPointF cellUnitsAt(const QPointF& position) const; ///< not clamped
};

HeatmapLayout layoutHeatmap(const HeatmapData& data, const QRectF& bounds, const PlotStyle& style,
                            const HeatmapOptions& options);

/// 1, 2, 5, 10, 20… and at least `least`.
int niceStep(double least);

} // namespace qkov::ui
