// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapLayout.h"

#include <QFontMetricsF>
#include <QWidget>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

struct LabelSizes {
    double widest = 0;
    bool numeric = true;
};

LabelSizes measure(const QStringList& labels, int count, const QFontMetricsF& metrics) {
    LabelSizes sizes;
    if (labels.isEmpty()) {
        // Not the last number itself: kerning can make 11 narrower than 10.
        const auto digits = QString::number(std::max(0, count - 1)).size();
        sizes.widest = metrics.horizontalAdvance(QString(digits, u'0'));
        return sizes;
    }
    // The widest by characters is close enough, and quick with thousands of labels.
    qsizetype longest = 0;
    for (const QString& label : labels) {
        longest = std::max(longest, label.size());
        bool isNumber = false;
        label.toLongLong(&isNumber);
        sizes.numeric = sizes.numeric && isNumber;
    }
    if (sizes.numeric) {
        sizes.widest = metrics.horizontalAdvance(QString(longest, u'0'));
    }
    int measured = 0;
    for (const QString& label : labels) {
        if (label.size() + 1 >= longest && measured < 64) {
            sizes.widest = std::max(sizes.widest, metrics.horizontalAdvance(label));
            ++measured;
        }
    }
    return sizes;
}

double snapped(double value, double pixel) {
    return pixel > 0 ? std::round(value / pixel) * pixel : value;
}

} // namespace

PlotStyle PlotStyle::screen(const QWidget* widget) {
    PlotStyle style;
    style.palette = &Palette::current(widget);
    style.titleFont = widget->font();
    style.titleFont.setBold(true);
    style.font = widget->font();
    if (style.font.pointSizeF() > 0) {
        style.font.setPointSizeF(style.font.pointSizeF() * 0.85);
    } else {
        style.font.setPixelSize(std::max(8, qRound(style.font.pixelSize() * 0.85)));
    }
    style.unit = 1;
    style.pixel = 1 / widget->devicePixelRatioF();
    return style;
}

int niceStep(double least) {
    for (int decade = 1; decade < 100'000'000; decade *= 10) {
        for (const int factor : {1, 2, 5}) {
            if (decade * factor >= least) {
                return decade * factor;
            }
        }
    }
    return 1'000'000'000;
}

double HeatmapLayout::x(double column) const {
    return snapped(plot.left() + (column - range.left()) * cellWidth, pixel);
}

double HeatmapLayout::y(double row) const {
    const double offset = (row - range.top()) * cellHeight;
    return snapped(rowZeroAtTop ? plot.top() + offset : plot.bottom() - offset, pixel);
}

QRectF HeatmapLayout::cellRect(int row, int column) const {
    const double a = y(row);
    const double b = y(row + 1);
    const double left = x(column);
    return {QPointF(left, std::min(a, b)), QPointF(x(column + 1), std::max(a, b))};
}

QPointF HeatmapLayout::cellUnitsAt(const QPointF& p) const {
    const double dy = rowZeroAtTop ? p.y() - plot.top() : plot.bottom() - p.y();
    return {range.left() + (p.x() - plot.left()) / cellWidth, range.top() + dy / cellHeight};
}

std::optional<CellPosition> HeatmapLayout::cellAt(const QPointF& p, const HeatmapData& data) const {
    // The right and lower edge belong to no cell.
    if (cellWidth <= 0 || p.x() < plot.left() || p.x() >= plot.right() || p.y() < plot.top() ||
        p.y() >= plot.bottom()) {
        return {};
    }
    const QPointF units = cellUnitsAt(p);
    CellPosition cell{static_cast<int>(std::floor(units.y())),
                      static_cast<int>(std::floor(units.x()))};
    // Edges are snapped to pixels; take the cell whose painted rectangle holds the point.
    if (data.contains(cell)) {
        const QRectF r = cellRect(cell.row, cell.column);
        cell.column += p.x() < r.left() ? -1 : p.x() >= r.right() ? 1 : 0;
        const int down = rowZeroAtTop ? 1 : -1;
        cell.row += p.y() < r.top() ? -down : p.y() >= r.bottom() ? down : 0;
    }
    if (!data.contains(cell)) {
        return {};
    }
    return cell;
}

HeatmapLayout layoutHeatmap(const HeatmapData& data, const QRectF& bounds, const PlotStyle& style,
                            const HeatmapOptions& options) {
    HeatmapLayout l;
    l.bounds = bounds;
    l.pixel = style.pixel;
    l.rowZeroAtTop = options.rowZeroAtTop;
    l.range = options.range.value_or(QRectF(0, 0, data.columns, data.rows));
    if (data.rows <= 0 || data.columns <= 0 || l.range.isEmpty()) {
        return l;
    }
    const double u = style.unit;
    const QFontMetricsF metrics(style.font);
    const QFontMetricsF titleMetrics(style.titleFont);
    const double line = metrics.height();
    const double gap = 4 * u;

    const bool hasTitle = !data.title.isEmpty() || !data.subtitle.isEmpty();
    const double titleHeight = hasTitle ? titleMetrics.height() + gap : line / 2;
    const LabelSizes rowSizes = measure(data.rowLabels, data.rows, metrics);
    const LabelSizes columnSizes = measure(data.columnLabels, data.columns, metrics);

    l.rowLabelWidth = std::min(rowSizes.widest, bounds.width() * 0.3);
    l.bandSize = line; // with the group's name in it
    const double rowBands = data.rowBands.empty() ? 0 : l.bandSize + gap / 2;
    const double columnBands = data.columnBands.empty() ? 0 : l.bandSize + gap / 2;
    const auto bracketRoom = [&](const std::vector<HeatmapData::Bracket>& brackets, bool reserve) {
        bool labelled = reserve;
        for (const auto& b : brackets) {
            labelled = labelled || !b.label.isEmpty();
        }
        return brackets.empty() && !reserve ? 0 : 5 * u + (labelled ? line : 0);
    };
    const double rowBrackets = bracketRoom(data.rowBrackets, false);
    const double columnBrackets = bracketRoom(data.columnBrackets, data.reserveColumnBrackets);
    const double rowTitle = options.axisTitles && !data.rowTitle.isEmpty() ? line + gap / 2 : 0;
    const double columnTitle =
        options.axisTitles && !data.columnTitle.isEmpty() ? line + gap / 2 : 0;
    const double left = rowTitle + rowBrackets + l.rowLabelWidth + gap + rowBands;
    const double barLength = std::min(28 * u, std::min(bounds.width(), bounds.height()) * 0.1);
    const double rowBars = data.rowMeans.empty() ? 0 : barLength + gap;
    const double columnBars = data.columnMeans.empty() ? 0 : barLength + gap;
    const double right =
        rowBars + std::max(2 * u, columnSizes.numeric ? columnSizes.widest / 2 - 4 * u : 0);

    // Labels of columns lie down where most of them fit so, else they stand.
    const double roughWidth = (bounds.width() - left - right) / l.range.width();
    // More labels than fit can't be had; fewer can.
    const double thin = 1 / std::clamp(style.tickDensity, 0.05, 1.0);
    const double horizontalStep = std::ceil((columnSizes.widest + 6 * u) / roughWidth);
    l.columnLabelsRotated = !columnSizes.numeric && horizontalStep > 1;
    const double longest = std::min(columnSizes.widest, bounds.height() * 0.25);
    l.columnLabelHeight = l.columnLabelsRotated ? longest : line;
    l.columnStep =
        niceStep((l.columnLabelsRotated ? (line + u) / roughWidth : horizontalStep) * thin);
    const double bottom =
        columnBands + gap / 2 + l.columnLabelHeight + columnBrackets + columnTitle + u;

    const QRectF room = bounds.adjusted(left, titleHeight + columnBars + u, -right, -bottom);
    if (room.width() < 1 || room.height() < 1) {
        return l;
    }
    l.room = room;
    // The frame is that of the whole map, so that zooming moves nothing but the cells.
    double cellWidth = room.width() / data.columns;
    double cellHeight = room.height() / data.rows;
    if (options.squareCells) {
        double side = std::min(cellWidth, cellHeight);
        if (options.evenCells && style.pixel > 0 && side >= 6 * style.pixel) {
            side = std::floor(side / style.pixel) * style.pixel; // all cells of the same size
        }
        if (options.alwaysSquare || side * side > 0.5 * cellWidth * cellHeight) {
            cellWidth = cellHeight = side;
        }
    }
    QSizeF size(cellWidth * data.columns, cellHeight * data.rows);
    if (style.pixel > 0) {
        size = {std::floor(size.width() / style.pixel + 1e-6) * style.pixel,
                std::floor(size.height() / style.pixel + 1e-6) * style.pixel};
    }
    l.cellWidth = size.width() / l.range.width();
    l.cellHeight = size.height() / l.range.height();
    const double spare = options.alignLeft ? 0 : (room.width() - size.width()) / 2;
    l.plot = QRectF(
        QPointF(snapped(room.left() + spare, style.pixel), snapped(room.top(), style.pixel)), size);
    l.rowStep = niceStep((line * 0.95) / l.cellHeight * thin);
    l.columnStep = niceStep((l.columnLabelsRotated ? line + u : columnSizes.widest + 6 * u) /
                            l.cellWidth * thin);
    l.title = QRectF(l.plot.left(), bounds.top(), bounds.right() - l.plot.left(),
                     hasTitle ? titleHeight : 0);
    if (rowBars > 0) {
        l.rowBars = QRectF(l.plot.right() + gap, l.plot.top(), barLength, l.plot.height());
    }
    if (columnBars > 0) {
        l.columnBars =
            QRectF(l.plot.left(), l.plot.top() - gap - barLength, l.plot.width(), barLength);
    }
    l.rowBandX = l.plot.left() - gap / 2 - l.bandSize;
    l.rowLabelRight = l.plot.left() - gap - rowBands;
    l.rowBracketX = l.rowLabelRight - l.rowLabelWidth - 2 * u;
    const double rowTitleX = l.plot.left() - left;
    l.rowTitle = QRectF(rowTitleX, l.plot.top(), line, l.plot.height());
    l.columnBandY = l.plot.bottom() + gap / 2;
    l.columnLabelTop = l.plot.bottom() + gap / 2 + columnBands;
    l.columnBracketY = l.columnLabelTop + l.columnLabelHeight + 2 * u;
    l.columnTitle = QRectF(l.plot.left(), l.columnLabelTop + l.columnLabelHeight + columnBrackets,
                           l.plot.width(), line);
    return l;
}

} // namespace qkov::ui
