// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapPainter.h"

#include "base/Numbers.h"

#include <QFontMetricsF>
#include <QImage>
#include <QPainter>
#include <QPen>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

struct Visible {
    int firstRow, lastRow, firstColumn, lastColumn; // last is included
};

Visible visibleCells(const HeatmapData& data, const HeatmapLayout& l) {
    return {std::clamp(static_cast<int>(std::floor(l.range.top())), 0, data.rows - 1),
            std::clamp(static_cast<int>(std::ceil(l.range.bottom())) - 1, 0, data.rows - 1),
            std::clamp(static_cast<int>(std::floor(l.range.left())), 0, data.columns - 1),
            std::clamp(static_cast<int>(std::ceil(l.range.right())) - 1, 0, data.columns - 1)};
}

QPen linePen(const QColor& color, double width) {
    QPen pen(color, width);
    pen.setCapStyle(Qt::FlatCap);
    return pen;
}

QColor cellBackground(const HeatmapData& data, const ColorScale& scale, const Palette& palette,
                      int row, int column) {
    switch (data.state(row, column)) {
    case HeatmapData::State::ok:
        return QColor::fromRgb(scale.color(data.value(row, column)));
    case HeatmapData::State::missing:
        return palette.missing;
    case HeatmapData::State::notComputed:
        break;
    }
    return palette.card;
}

/// Very large maps: one pixel per cell, drawn without interpolation. Cells that fall on the same
/// device pixel show the one farthest from the middle of the scale, so that no hot cell is lost.
void paintAsImage(QPainter& painter, const HeatmapData& data, const ColorScale& scale,
                  const HeatmapLayout& l, const PlotStyle& style, const Visible& v) {
    const auto shrink = [&](int cells, double extent) {
        if (style.pixel <= 0) {
            return 1;
        }
        return std::max(1, static_cast<int>(std::ceil(cells * style.pixel / extent - 1e-6)));
    };
    const int nx = v.lastColumn - v.firstColumn + 1;
    const int ny = v.lastRow - v.firstRow + 1;
    const int fx = shrink(nx, l.x(v.lastColumn + 1) - l.x(v.firstColumn));
    const int fy = shrink(ny, std::abs(l.y(v.lastRow + 1) - l.y(v.firstRow)));
    const double middle = scale.map.diverging() ? 0.5 : 0;
    QImage image((nx + fx - 1) / fx, (ny + fy - 1) / fy, QImage::Format_RGB32);
    for (int iy = 0; iy < image.height(); ++iy) {
        auto* line =
            reinterpret_cast<QRgb*>(image.scanLine(l.rowZeroAtTop ? iy : image.height() - 1 - iy));
        for (int ix = 0; ix < image.width(); ++ix) {
            QRgb color = cellBackground(data, scale, *style.palette, v.firstRow + iy * fy,
                                        v.firstColumn + ix * fx)
                             .rgb();
            double farthest = -1;
            for (int y = iy * fy; y < std::min(ny, (iy + 1) * fy) && fx * fy > 1; ++y) {
                for (int x = ix * fx; x < std::min(nx, (ix + 1) * fx); ++x) {
                    const int row = v.firstRow + y;
                    const int column = v.firstColumn + x;
                    if (data.state(row, column) != HeatmapData::State::ok) {
                        continue;
                    }
                    const double value = data.value(row, column);
                    const double distance = std::abs(scale.position(value) - middle);
                    if (distance > farthest) {
                        farthest = distance;
                        color = scale.color(value);
                    }
                }
            }
            line[ix] = color;
        }
    }
    const double y0 = l.y(v.firstRow);
    const double y1 = l.y(v.lastRow + 1);
    const QRectF target(QPointF(l.x(v.firstColumn), std::min(y0, y1)),
                        QPointF(l.x(v.lastColumn + 1), std::max(y0, y1)));
    painter.setRenderHint(QPainter::SmoothPixmapTransform, false);
    painter.setRenderHint(QPainter::LosslessImageRendering, true); // no JPEG in a PDF
    if (style.vector()) {
        // At least 600 dots per inch, so that viewers that smooth images blur no cell.
        const double dots = 600.0 / (72 * style.unit);
        const int kx = std::max(1, static_cast<int>(std::ceil(target.width() * dots / nx)));
        const int ky = std::max(1, static_cast<int>(std::ceil(target.height() * dots / ny)));
        image = image.scaled(nx * kx, ny * ky, Qt::IgnoreAspectRatio, Qt::FastTransformation);
    }
    painter.drawImage(target, image);
}

void paintCells(QPainter& painter, const HeatmapData& data, const ColorScale& scale,
                const HeatmapLayout& l, const PlotStyle& style, const Visible& v) {
    // Vector output: each cell also lies under its right and lower neighbour, which is painted
    // later, so that viewers that smooth edges show no gap.
    const double overlap = style.vector() ? std::min(0.4 * style.unit, l.cellWidth / 4) : 0;
    const double edgeX = l.x(v.lastColumn + 1);
    const double edgeY = std::max(l.y(v.lastRow + 1), l.y(v.firstRow));
    const int rows = v.lastRow - v.firstRow + 1;
    painter.setPen(Qt::NoPen);
    for (int n = 0; n < rows; ++n) {
        const int row = l.rowZeroAtTop ? v.firstRow + n : v.lastRow - n;
        for (int column = v.firstColumn; column <= v.lastColumn; ++column) {
            QRectF r = l.cellRect(row, column);
            if (overlap > 0) {
                r.setRight(std::min(r.right() + overlap, edgeX));
                r.setBottom(std::min(r.bottom() + overlap, edgeY));
            }
            painter.fillRect(r, cellBackground(data, scale, *style.palette, row, column));
        }
    }
    for (int row = v.firstRow; row <= v.lastRow; ++row) {
        for (int column = v.firstColumn; column <= v.lastColumn; ++column) {
            const auto state = data.state(row, column);
            if (state == HeatmapData::State::missing) {
                paintHatching(painter, l.cellRect(row, column), style);
            } else if (state == HeatmapData::State::notComputed &&
                       std::min(l.cellWidth, l.cellHeight) >= 8 * style.unit) {
                const double side = 2 * style.unit;
                const QPointF c = l.cellRect(row, column).center();
                painter.fillRect(QRectF(c.x() - side / 2, c.y() - side / 2, side, side),
                                 style.palette->hatch);
            }
        }
    }
}

void paintMarks(QPainter& painter, const HeatmapData& data, const ColorScale& scale,
                const HeatmapLayout& l, const PlotStyle& style, const HeatmapOptions& options,
                const Visible& v) {
    const double side = std::min(l.cellWidth, l.cellHeight);
    const Palette& palette = *style.palette;
    const QFontMetricsF metrics(style.font);
    const bool numbers = options.annotate && l.cellHeight >= metrics.height();
    const bool glyphs = marksVisible(data, l, style, options);
    const bool dots = !data.significant.empty() && side >= 3 * style.unit;
    if (!glyphs && !dots && !numbers) {
        return;
    }
    painter.setFont(style.font);
    for (int row = v.firstRow; row <= v.lastRow; ++row) {
        for (int column = v.firstColumn; column <= v.lastColumn; ++column) {
            const QRectF r = l.cellRect(row, column);
            const auto index = data.index(row, column);
            const QColor ink = inkOn(cellBackground(data, scale, palette, row, column).rgb());
            const bool ok = data.state(row, column) == HeatmapData::State::ok;
            if (numbers && ok) {
                const QString text = style.localized(QString::fromStdString(
                    formatNumber(data.value(row, column), options.annotationDigits)));
                if (metrics.horizontalAdvance(text) <= l.cellWidth - 1.5 * style.unit) {
                    painter.setPen(ink);
                    painter.drawText(r, Qt::AlignCenter, text);
                }
            }
            if (glyphs && ok && !data.marks[index].isNull()) {
                painter.setPen(ink);
                const bool corner = side >= 22 * style.unit || dots || numbers;
                painter.drawText(corner ? r.adjusted(2 * style.unit, 0, 0, 0) : r,
                                 corner ? Qt::AlignLeft | Qt::AlignTop : Qt::AlignCenter,
                                 QString(data.marks[index]));
            }
            if (dots && data.significant[index] != 0) {
                const double radius = std::clamp(side * 0.11, 0.75 * style.unit, 2.5 * style.unit);
                painter.setPen(Qt::NoPen);
                painter.setBrush(ink);
                painter.setRenderHint(QPainter::Antialiasing, true);
                // Out of the way of a number or a glyph.
                const QPointF c = numbers  ? QPointF(r.center().x(), r.bottom() - 2 * radius)
                                  : glyphs ? r.bottomRight() - QPointF(2 * radius, 2 * radius)
                                           : r.center();
                painter.drawEllipse(c, radius, radius);
                painter.setRenderHint(QPainter::Antialiasing, false);
            }
        }
    }
}

void paintOutlines(QPainter& painter, const HeatmapData& data, const HeatmapLayout& l,
                   const PlotStyle& style) {
    for (const auto& cells : data.outlines) {
        std::vector<char> inside(static_cast<std::size_t>(data.rows) *
                                 static_cast<std::size_t>(data.columns));
        for (const CellPosition c : cells) {
            if (data.contains(c)) {
                inside[data.index(c.row, c.column)] = 1;
            }
        }
        QVector<QLineF> edges;
        const auto in = [&](int row, int column) {
            return data.contains({row, column}) && inside[data.index(row, column)] != 0;
        };
        for (const CellPosition c : cells) {
            if (!data.contains(c)) {
                continue;
            }
            const double x0 = l.x(c.column), x1 = l.x(c.column + 1);
            const double y0 = l.y(c.row), y1 = l.y(c.row + 1);
            if (!in(c.row - 1, c.column)) {
                edges << QLineF(x0, y0, x1, y0);
            }
            if (!in(c.row + 1, c.column)) {
                edges << QLineF(x0, y1, x1, y1);
            }
            if (!in(c.row, c.column - 1)) {
                edges << QLineF(x0, y0, x0, y1);
            }
            if (!in(c.row, c.column + 1)) {
                edges << QLineF(x1, y0, x1, y1);
            }
        }
        // Dark over light: seen on every colour.
        for (const auto& [color, width] : {std::pair(QColor(Qt::white), 2.5), {Qt::black, 1.0}}) {
            QPen pen(color, width * style.unit);
            pen.setCapStyle(Qt::SquareCap);
            painter.setPen(pen);
            painter.drawLines(edges);
        }
    }
}

/// drawText, but turned so that it reads from below; `rect` as it is on the page.
void drawUpright(QPainter& painter, const QRectF& rect, int flags, const QString& text) {
    painter.save();
    painter.translate(rect.left(), rect.bottom());
    painter.rotate(-90);
    painter.drawText(QRectF(0, 0, rect.height(), rect.width()), flags, text);
    painter.restore();
}

void paintBrackets(QPainter& painter, const HeatmapData& data, const HeatmapLayout& l,
                   const PlotStyle& style) {
    const double u = style.unit;
    const QFontMetricsF metrics(style.font);
    painter.setFont(style.font);
    for (const auto& b : data.columnBrackets) {
        const double x0 = std::max(l.x(b.first), l.plot.left()) + u;
        const double x1 = std::min(l.x(b.last + 1), l.plot.right()) - u;
        if (x1 <= x0) {
            continue;
        }
        painter.setPen(linePen(style.palette->outline, style.vector() ? 0.6 * u : u));
        const double y = l.columnBracketY;
        painter.drawPolyline(QPolygonF({{x0, y}, {x0, y + 3 * u}, {x1, y + 3 * u}, {x1, y}}));
        painter.setPen(style.palette->mutedText);
        if (metrics.horizontalAdvance(b.label) <= x1 - x0) {
            painter.drawText(QRectF(x0, y + 3 * u, x1 - x0, metrics.height()), Qt::AlignCenter,
                             b.label);
        }
    }
    const auto shade = [&](std::size_t n) {
        return n % 2 == 0 ? style.palette->separator : style.palette->raised;
    };
    const auto band = [&](const QRectF& r, std::size_t n, const QString& text, bool upright) {
        painter.fillRect(r, shade(n));
        painter.setPen(style.palette->text);
        const double length = upright ? r.height() : r.width();
        if (metrics.horizontalAdvance(text) > length) {
            return;
        }
        if (upright) {
            drawUpright(painter, r, Qt::AlignCenter, text);
        } else {
            painter.drawText(r, Qt::AlignCenter, text);
        }
    };
    for (std::size_t n = 0; n < data.columnBands.size(); ++n) {
        const auto& b = data.columnBands[n];
        const double x0 = std::max(l.x(b.first), l.plot.left());
        const double x1 = std::min(l.x(b.last + 1), l.plot.right());
        if (x1 > x0) {
            band(QRectF(x0, l.columnBandY, x1 - x0, l.bandSize), n, b.label, false);
        }
    }
    for (std::size_t n = 0; n < data.rowBands.size(); ++n) {
        const auto& b = data.rowBands[n];
        const double a = l.y(b.first);
        const double z = l.y(b.last + 1);
        const double y0 = std::max(std::min(a, z), l.plot.top());
        const double y1 = std::min(std::max(a, z), l.plot.bottom());
        if (y1 > y0) {
            band(QRectF(l.rowBandX, y0, l.bandSize, y1 - y0), n, b.label, true);
        }
    }
}

/// Means of rows and columns as bars that grow away from the map, both on one scale from 0.
void paintMargins(QPainter& painter, const HeatmapData& data, const HeatmapLayout& l,
                  const PlotStyle& style, const Visible& v) {
    double reach = 0, lowest = 0;
    for (const auto* list : {&data.rowMeans, &data.columnMeans}) {
        for (const double m : *list) {
            if (std::isfinite(m)) {
                reach = std::max(reach, m);
                lowest = std::min(lowest, m);
            }
        }
    }
    if (!(reach - lowest > 0)) {
        return;
    }
    const double inset = std::min(l.cellHeight, l.cellWidth) >= 6 * style.unit ? style.unit : 0;
    const auto share = [&](double m) { return (m - lowest) / (reach - lowest); };
    const QColor color = style.palette->outline;
    for (int row = v.firstRow; row <= v.lastRow && !l.rowBars.isNull(); ++row) {
        const double m = data.rowMeans[static_cast<std::size_t>(row)];
        const QRectF cell = l.cellRect(row, v.firstColumn);
        if (std::isfinite(m) && cell.center().y() > l.plot.top() &&
            cell.center().y() < l.plot.bottom()) {
            const double from = l.rowBars.left() + share(0) * l.rowBars.width();
            const double to = l.rowBars.left() + share(m) * l.rowBars.width();
            painter.fillRect(QRectF(QPointF(std::min(from, to), cell.top() + inset),
                                    QPointF(std::max(from, to), cell.bottom() - inset)),
                             color);
        }
    }
    for (int column = v.firstColumn; column <= v.lastColumn && !l.columnBars.isNull(); ++column) {
        const double m = data.columnMeans[static_cast<std::size_t>(column)];
        const QRectF cell = l.cellRect(v.firstRow, column);
        if (std::isfinite(m) && cell.center().x() > l.plot.left() &&
            cell.center().x() < l.plot.right()) {
            const double from = l.columnBars.bottom() - share(0) * l.columnBars.height();
            const double to = l.columnBars.bottom() - share(m) * l.columnBars.height();
            painter.fillRect(QRectF(QPointF(cell.left() + inset, std::min(from, to)),
                                    QPointF(cell.right() - inset, std::max(from, to))),
                             color);
        }
    }
}

void paintLabels(QPainter& painter, const HeatmapData& data, const HeatmapLayout& l,
                 const PlotStyle& style, const HeatmapOptions& options, const Visible& v) {
    const Palette& palette = *style.palette;
    const double u = style.unit;
    const QFontMetricsF metrics(style.font);
    const QFontMetricsF titleMetrics(style.titleFont);
    if (!data.title.isEmpty() || !data.subtitle.isEmpty()) {
        QRectF r = l.title;
        painter.setFont(style.titleFont);
        painter.setPen(palette.text);
        const QString title = titleMetrics.elidedText(data.title, Qt::ElideRight, r.width());
        painter.drawText(r, Qt::AlignLeft | Qt::AlignTop, title);
        if (!data.subtitle.isEmpty()) {
            const double used =
                data.title.isEmpty() ? 0 : titleMetrics.horizontalAdvance(title) + 6 * u;
            r.setLeft(r.left() + used);
            r.setTop(r.top() + titleMetrics.ascent() - metrics.ascent()); // same baseline
            painter.setFont(style.font);
            painter.setPen(palette.mutedText);
            painter.drawText(r, Qt::AlignLeft | Qt::AlignTop,
                             metrics.elidedText(data.subtitle, Qt::ElideRight, r.width()));
        }
    }
    painter.setFont(style.font);
    painter.setPen(palette.mutedText);
    const auto shown = [](double middle, double from, double to) {
        return middle >= from && middle <= to;
    };
    for (int row = (v.firstRow + l.rowStep - 1) / l.rowStep * l.rowStep; row <= v.lastRow;
         row += l.rowStep) {
        const double y = (l.y(row) + l.y(row + 1)) / 2;
        if (shown(y, l.plot.top(), l.plot.bottom())) {
            painter.drawText(
                QRectF(l.rowLabelRight - l.rowLabelWidth, y - metrics.height() / 2, l.rowLabelWidth,
                       metrics.height()),
                Qt::AlignRight | Qt::AlignVCenter,
                metrics.elidedText(data.rowLabel(row), Qt::ElideMiddle, l.rowLabelWidth + 0.5 * u));
        }
    }
    for (int column = (v.firstColumn + l.columnStep - 1) / l.columnStep * l.columnStep;
         column <= v.lastColumn; column += l.columnStep) {
        const double x = (l.x(column) + l.x(column + 1)) / 2;
        if (!shown(x, l.plot.left(), l.plot.right())) {
            continue;
        }
        if (l.columnLabelsRotated) {
            drawUpright(painter,
                        QRectF(x - metrics.height() / 2, l.columnLabelTop, metrics.height(),
                               l.columnLabelHeight),
                        Qt::AlignRight | Qt::AlignVCenter,
                        metrics.elidedText(data.columnLabel(column), Qt::ElideMiddle,
                                           l.columnLabelHeight + 0.5 * u));
        } else {
            const QString text = data.columnLabel(column);
            const double half = metrics.horizontalAdvance(text) / 2 + u;
            painter.drawText(QRectF(x - half, l.columnLabelTop, 2 * half, l.columnLabelHeight),
                             Qt::AlignHCenter | Qt::AlignTop, text);
        }
    }
    if (options.axisTitles) {
        painter.setPen(palette.text);
        // On a map too low for its title, the title reaches a little past the rows, or is left out.
        if (!data.rowTitle.isEmpty() &&
            metrics.horizontalAdvance(data.rowTitle) <= 1.4 * l.rowTitle.height()) {
            drawUpright(painter, l.rowTitle, Qt::AlignCenter | Qt::TextDontClip, data.rowTitle);
        }
        if (!data.columnTitle.isEmpty()) {
            painter.drawText(l.columnTitle, Qt::AlignHCenter | Qt::AlignTop, data.columnTitle);
        }
    }
}

} // namespace

bool marksVisible(const HeatmapData& data, const HeatmapLayout& l, const PlotStyle& style,
                  const HeatmapOptions& options) {
    const double line = QFontMetricsF(style.font).height();
    const double least = std::min(14 * style.unit, 1.1 * line);
    // Beside a number there must be room for both.
    return options.marks && !data.marks.empty() && std::min(l.cellWidth, l.cellHeight) >= least &&
           (!options.annotate || l.cellHeight >= 2.3 * line);
}

QColor inkOn(QRgb background) {
    const QColor c = QColor::fromRgb(background);
    return contrastRatio(c, Qt::white) >= contrastRatio(c, Qt::black) ? Qt::white : Qt::black;
}

void paintHatching(QPainter& painter, const QRectF& r, const PlotStyle& style) {
    // Lines x + y = k · step; the part of each inside the rectangle.
    const double step = 5 * style.unit;
    QVector<QLineF> lines;
    const double first = std::ceil((r.left() + r.top()) / step) * step;
    for (double sum = first; sum < r.right() + r.bottom(); sum += step) {
        const double x0 = std::max(r.left(), sum - r.bottom());
        const double x1 = std::min(r.right(), sum - r.top());
        if (x1 > x0) {
            lines << QLineF(x0, sum - x0, x1, sum - x1);
        }
    }
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setPen(linePen(style.palette->hatch, style.vector() ? 0.5 * style.unit : style.unit));
    painter.drawLines(lines);
    painter.restore();
}

void paintHeatmap(QPainter& painter, const HeatmapData& data, const ColorScale& scale,
                  const HeatmapLayout& layout, const PlotStyle& style,
                  const HeatmapOptions& options) {
    if (data.rows <= 0 || data.columns <= 0 || layout.cellWidth <= 0) {
        return;
    }
    const Visible v = visibleCells(data, layout);
    const auto cells =
        static_cast<std::int64_t>(v.lastRow - v.firstRow + 1) * (v.lastColumn - v.firstColumn + 1);
    const double side = std::min(layout.cellWidth, layout.cellHeight);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, false);
    const bool zoomed = layout.range != QRectF(0, 0, data.columns, data.rows);
    if (zoomed) {
        painter.save();
        painter.setClipRect(layout.plot);
    }
    const bool asImage = style.vector() ? cells > maxVectorCells : side < 1.5 * style.pixel;
    if (asImage) {
        paintAsImage(painter, data, scale, layout, style, v);
    } else {
        paintCells(painter, data, scale, layout, style, v);
        paintMarks(painter, data, scale, layout, style, options, v);
    }
    paintOutlines(painter, data, layout, style);
    if (zoomed) {
        painter.restore();
    }
    if (style.vector()) { // on paper a frame closes the map; on screen the card does
        painter.setPen(linePen(style.palette->text, 0.5 * style.unit));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(layout.plot);
    }
    paintMargins(painter, data, layout, style, v);
    paintBrackets(painter, data, layout, style);
    paintLabels(painter, data, layout, style, options, v);
    painter.restore();
}

} // namespace qkov::ui
