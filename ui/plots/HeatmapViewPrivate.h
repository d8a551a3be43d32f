// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/HeatmapPainter.h"
#include "plots/HeatmapView.h"

#include <QPixmap>

namespace qkov::ui {

struct HeatmapView::Private {
    enum class Drag : std::uint8_t { none, pressed, pan, rectangle };

    HeatmapData data;
    ColorScale scale;
    HeatmapOptions options;
    QRectF range; ///< visible cells
    std::optional<CellPosition> crosshair, selected;
    std::vector<CellPosition> marked;
    std::function<QString(int, int)> toolTip, description;
    QString placeholder;
    bool multiSelection = false;
    bool focusVisible = false;

    PlotStyle style;
    HeatmapLayout layout;
    QPixmap base; ///< everything but the overlay
    bool layoutDirty = true, baseDirty = true;
    qint64 overlayNanoseconds = 0;

    Drag drag = Drag::none;
    QPointF pressAt;
    QRectF pressRange;
    std::optional<CellPosition> pressCell, anchor, lastHover;
    std::vector<CellPosition> pressMarked;
    QRectF fullRange() const { return {0, 0, double(data.columns), double(data.rows)}; }
    bool zoomed() const { return range != fullRange(); }
    bool hasCells() const { return data.rows > 0 && data.columns > 0; }

    void ensureLayout(const HeatmapView* view);
    void ensureBase(const HeatmapView* view);
    void paintOverlay(QPainter& painter, const HeatmapView* view);
    void paintCrosshair(QPainter& painter);
    void paintMarked(QPainter& painter);
    void paintSelected(QPainter& painter);
    /// Keeps the visible part inside the map and at least two cells wide.
    QRectF clampedRange(QRectF range) const;
    /// Moved so that `cell` is inside.
    QRectF rangeShowing(CellPosition cell) const;
    std::vector<CellPosition> rectangle(CellPosition a, CellPosition b) const;
};

} // namespace qkov::ui
