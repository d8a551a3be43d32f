// SPDX-License-Identifier: GPL-3.0-or-later
// What HeatmapView draws: the cached map, and over it crosshair, selection and focus.
#include "plots/HeatmapViewPrivate.h"

#include <QElapsedTimer>
#include <QFontMetricsF>
#include <QPaintEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

void HeatmapView::Private::ensureLayout(const HeatmapView* view) {
    const double pixel = 1 / view->devicePixelRatioF();
    if (!layoutDirty && style.pixel == pixel) {
        return;
    }
    layoutDirty = false;
    baseDirty = true;
    style = PlotStyle::screen(view);
    HeatmapOptions o = options;
    o.range = range;
    layout = layoutHeatmap(data, QRectF(view->rect()).adjusted(4, 4, -4, -4), style, o);
}

void HeatmapView::Private::ensureBase(const HeatmapView* view) {
    ensureLayout(view);
    if (!baseDirty) {
        return;
    }
    baseDirty = false;
    const double ratio = view->devicePixelRatioF();
    base = QPixmap((QSizeF(view->size()) * ratio).toSize().expandedTo({1, 1}));
    base.setDevicePixelRatio(ratio);
    base.fill(Qt::transparent);
    QPainter painter(&base);
    HeatmapOptions o = options;
    o.range = range;
    paintHeatmap(painter, data, scale, layout, style, o);
}

namespace {

void outline(QPainter& painter, QRectF r, const QColor& color, double width) {
    painter.setBrush(Qt::NoBrush);
    QPen pen(color, width);
    pen.setJoinStyle(Qt::MiterJoin);
    painter.setPen(pen);
    painter.drawRect(r);
}

/// Light, dark and `color`, from outside in: seen on every colour.
void threeFoldOutline(QPainter& painter, const QRectF& r, const QColor& color) {
    outline(painter, r.adjusted(-2, -2, 2, 2), Qt::white, 1);
    outline(painter, r.adjusted(-0.5, -0.5, 0.5, 0.5), color, 2);
    if (r.width() >= 10 && r.height() >= 10) {
        outline(painter, r.adjusted(1, 1, -1, -1), QColor(0x10, 0x10, 0x10), 1);
    } else {
        outline(painter, r.adjusted(-3, -3, 3, 3), QColor(0x10, 0x10, 0x10), 1);
    }
}

} // namespace

void HeatmapView::Private::paintCrosshair(QPainter& painter) {
    if (!crosshair || !data.contains(*crosshair)) {
        return;
    }
    const QRectF cell = layout.cellRect(crosshair->row, crosshair->column);
    const QRectF plot = layout.plot;
    if (!cell.intersects(plot)) {
        return;
    }
    painter.save();
    painter.setClipRect(plot.adjusted(-2, -2, 2, 2));
    const QPointF c = cell.center();
    const QLineF arms[] = {{plot.left(), c.y(), cell.left() - 2, c.y()},
                           {cell.right() + 2, c.y(), plot.right(), c.y()},
                           {c.x(), plot.top(), c.x(), cell.top() - 2},
                           {c.x(), cell.bottom() + 2, c.x(), plot.bottom()}};
    for (const auto& [color, width] :
         {std::pair(QColor(0, 0, 0, 110), 3.0), {QColor(255, 255, 255, 225), 1.0}}) {
        QPen pen(color, width);
        pen.setCapStyle(Qt::FlatCap);
        painter.setPen(pen);
        for (const QLineF& arm : arms) {
            // Arms that point off the map have run out of room.
            if ((arm.p2().x() - arm.p1().x()) + (arm.p2().y() - arm.p1().y()) > 0) {
                painter.drawLine(arm);
            }
        }
    }
    outline(painter, cell.adjusted(-1.5, -1.5, 1.5, 1.5), QColor(0, 0, 0, 170), 1);
    outline(painter, cell.adjusted(-0.5, -0.5, 0.5, 0.5), Qt::white, 1);
    painter.restore();

    // Its row and column, named on the axes though their labels may be thinned out.
    painter.setFont(style.font);
    const QFontMetricsF metrics(style.font);
    const auto pill = [&](const QRectF& r, const QString& text) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(style.palette->raised);
        painter.drawRoundedRect(r, 2, 2);
        painter.setPen(style.palette->text);
        painter.drawText(r, Qt::AlignCenter, text);
    };
    const QString rowText = metrics.elidedText(data.rowLabel(crosshair->row), Qt::ElideMiddle,
                                               layout.rowLabelWidth + 0.5);
    const double rowWidth = metrics.horizontalAdvance(rowText) + 6;
    pill({layout.rowLabelRight + 3 - rowWidth, c.y() - metrics.height() / 2, rowWidth,
          metrics.height()},
         rowText);
    const QString columnText = data.columnLabel(crosshair->column);
    const double columnWidth = metrics.horizontalAdvance(columnText) + 6;
    const double left =
        std::clamp(c.x() - columnWidth / 2, layout.bounds.left(),
                   std::max(layout.bounds.left(), layout.bounds.right() - columnWidth));
    pill({left, layout.columnLabelTop, columnWidth, metrics.height()}, columnText);
}

void HeatmapView::Private::paintMarked(QPainter& painter) {
    if (marked.empty()) {
        return;
    }
    std::vector<char> inside(data.values.size());
    for (const CellPosition c : marked) {
        if (data.contains(c)) {
            inside[data.index(c.row, c.column)] = 1;
        }
    }
    const auto in = [&](int row, int column) {
        return data.contains({row, column}) && inside[data.index(row, column)] != 0;
    };
    QVector<QLineF> edges;
    for (const CellPosition c : marked) {
        if (!data.contains(c)) {
            continue;
        }
        const QRectF r = layout.cellRect(c.row, c.column);
        const int up = layout.rowZeroAtTop ? -1 : 1;
        if (!in(c.row + up, c.column)) {
            edges << QLineF(r.topLeft(), r.topRight());
        }
        if (!in(c.row - up, c.column)) {
            edges << QLineF(r.bottomLeft(), r.bottomRight());
        }
        if (!in(c.row, c.column - 1)) {
            edges << QLineF(r.topLeft(), r.bottomLeft());
        }
        if (!in(c.row, c.column + 1)) {
            edges << QLineF(r.topRight(), r.bottomRight());
        }
    }
    painter.save();
    painter.setClipRect(layout.plot.adjusted(-2, -2, 2, 2));
    for (const auto& [color, width] :
         {std::pair(QColor(0x10, 0x10, 0x10), 3.5), {QColor(Qt::white), 1.5}}) {
        QPen pen(color, width);
        pen.setCapStyle(Qt::SquareCap);
        painter.setPen(pen);
        painter.drawLines(edges);
    }
    painter.restore();
}

void HeatmapView::Private::paintSelected(QPainter& painter) {
    if (!selected || !data.contains(*selected)) {
        return;
    }
    const QRectF r = layout.cellRect(selected->row, selected->column);
    if (!r.intersects(layout.plot.adjusted(1, 1, -1, -1))) {
        return;
    }
    painter.save();
    painter.setClipRect(layout.plot.adjusted(-4, -4, 4, 4));
    threeFoldOutline(painter, r, style.palette->accent);
    painter.restore();
}

void HeatmapView::Private::paintOverlay(QPainter& painter, const HeatmapView* view) {
    QElapsedTimer timer;
    timer.start();
    painter.setRenderHint(QPainter::Antialiasing, true);
    if (hasCells() && layout.cellWidth > 0) {
        paintMarked(painter);
        paintCrosshair(painter);
        paintSelected(painter);
    }
    if (view->hasFocus() && focusVisible) {
        const QRectF r = layout.plot.isEmpty() ? QRectF(view->rect()).adjusted(3, 3, -3, -3)
                                               : layout.plot.adjusted(-3, -3, 3, 3);
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(style.palette->accent, 2));
        painter.drawRoundedRect(r, 3, 3);
    }
    overlayNanoseconds = timer.nsecsElapsed();
}

void HeatmapView::paintEvent(QPaintEvent* event) {
    if (width() < 1 || height() < 1) {
        return; // nothing to draw on
    }
    d->ensureBase(this);
    QPainter painter(this);
    if (!d->hasCells()) {
        painter.setPen(d->style.palette->mutedText);
        painter.drawText(QRectF(rect()).adjusted(12, 12, -12, -12),
                         Qt::AlignCenter | Qt::TextWordWrap, d->placeholder);
    } else {
        const QRect r = event->rect();
        const double ratio = d->base.devicePixelRatio();
        painter.drawPixmap(QRectF(r), d->base,
                           QRectF(QPointF(r.topLeft()) * ratio, QSizeF(r.size()) * ratio));
    }
    d->paintOverlay(painter, this);
}

} // namespace qkov::ui
