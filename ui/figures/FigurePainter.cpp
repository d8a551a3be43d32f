// SPDX-License-Identifier: GPL-3.0-or-later
#include "figures/FigurePainter.h"

#include "figures/ChartPainter.h"

#include <QCoreApplication>
#include <QFontDatabase>
#include <QFontMetricsF>
#include <QMarginsF>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("qkov::ui::Figure", text);
}

QString family(const QString& wanted) {
    const QStringList installed = QFontDatabase::families();
    if (wanted.compare(QLatin1String("serif"), Qt::CaseInsensitive) == 0) {
        for (const char* name : {"Liberation Serif", "Times New Roman", "DejaVu Serif"}) {
            if (installed.contains(QLatin1String(name))) {
                return QLatin1String(name);
            }
        }
    }
    if (!wanted.isEmpty() && installed.contains(wanted, Qt::CaseInsensitive)) {
        return wanted;
    }
    for (const char* name : {"Liberation Sans", "Arial", "DejaVu Sans"}) {
        if (installed.contains(QLatin1String(name))) {
            return QLatin1String(name);
        }
    }
    return QFont().defaultFamily();
}

struct Grid {
    int columns = 1, rows = 1;
    std::vector<HeatmapLayout> panels;
    std::vector<HeatmapData> data; ///< axis titles only where they are at the edge
    std::vector<QRectF> letters;
    double bottom = 0; ///< of what is drawn
    double right = 0;
};

HeatmapOptions heatmapOptions(const FigureSpec& spec, bool alwaysSquare) {
    HeatmapOptions o;
    o.rowZeroAtTop = spec.layerZeroAtTop || spec.kind == FigureKind::pairs;
    o.marks = spec.marks;
    o.annotate = spec.annotate;
    o.annotationDigits = spec.annotationDigits;
    o.alignLeft = true;
    o.evenCells = false; // the same layout at every resolution
    o.alwaysSquare = alwaysSquare;
    return o;
}

bool isDifference(const FigureSpec& spec, std::size_t n) {
    return n < spec.difference.size() && spec.difference[n] != 0;
}

/// Panels of one size in `columns` columns; all rooms are the same, whatever labels they carry.
Grid makeGrid(const FigureSpec& spec, const QRectF& area, const PlotStyle& style, int columns,
              bool alwaysSquare, double barRoom) {
    Grid g;
    const int count = static_cast<int>(spec.panels.size());
    g.columns = std::clamp(columns, 1, count);
    g.rows = (count + g.columns - 1) / g.columns;
    const double gapX = 9 * style.unit, gapY = 8 * style.unit;
    const HeatmapOptions options = heatmapOptions(spec, alwaysSquare);
    const QSizeF slot((area.width() - gapX * (g.columns - 1)) / g.columns - barRoom,
                      (area.height() - gapY * (g.rows - 1)) / g.rows);

    // First with equal slots, to know what the labels of each row and column need.
    std::vector<double> left(static_cast<std::size_t>(g.columns)), right(left);
    std::vector<double> top(static_cast<std::size_t>(g.rows)), bottom(top);
    std::vector<QMarginsF> own; // of each panel's labels
    for (int n = 0; n < count; ++n) {
        HeatmapData d = spec.panels[static_cast<std::size_t>(n)];
        const auto r = static_cast<std::size_t>(n / g.columns);
        const auto c = static_cast<std::size_t>(n % g.columns);
        if (c > 0) {
            d.rowTitle.clear();
        }
        if (n + g.columns < count) {
            d.columnTitle.clear();
        }
        const QRectF bounds(QPointF(0, 0), slot);
        const HeatmapLayout l = layoutHeatmap(d, bounds, style, options);
        own.emplace_back(l.room.left(), l.room.top(), bounds.right() - l.room.right(),
                         bounds.bottom() - l.room.bottom());
        left[c] = std::max(left[c], l.room.left());
        if (spec.panelLetters && count > 1) { // room for the letter before the title
            left[c] = std::max(left[c], QFontMetricsF(style.titleFont).horizontalAdvance(u'm') +
                                            8 * style.unit);
        }
        right[c] = std::max(right[c], bounds.right() - l.room.right());
        top[r] = std::max(top[r], l.room.top());
        bottom[r] = std::max(bottom[r], bounds.bottom() - l.room.bottom());
        g.data.push_back(std::move(d));
    }
    double width = area.width() - (gapX + barRoom) * (g.columns - 1) - barRoom;
    double height = area.height() - gapY * (g.rows - 1);
    for (std::size_t c = 0; c < left.size(); ++c) {
        width -= left[c] + right[c];
    }
    for (std::size_t r = 0; r < top.size(); ++r) {
        height -= top[r] + bottom[r];
    }
    width = std::max(width / g.columns, style.unit);
    height = std::max(height / g.rows, style.unit);
    double y = area.top();
    for (int r = 0; r < g.rows; ++r) {
        double x = area.left();
        double rowHeight = 0;
        for (int c = 0; c < g.columns && r * g.columns + c < count; ++c) {
            const auto n = static_cast<std::size_t>(r * g.columns + c);
            const auto uc = static_cast<std::size_t>(c);
            const auto ur = static_cast<std::size_t>(r);
            const QRectF slotRect(x, y, left[uc] + width + right[uc],
                                  top[ur] + height + bottom[ur]);
            // A panel that needs less room for labels than its neighbours is no larger for it.
            const QMarginsF spare = QMarginsF(left[uc], top[ur], right[uc], bottom[ur]) - own[n];
            HeatmapLayout l =
                layoutHeatmap(g.data[n], slotRect.marginsRemoved(spare), style, options);
            g.letters.emplace_back(x, y, left[uc], top[ur]);
            g.right = std::max(g.right, l.plot.right() + (slotRect.right() - l.room.right()));
            rowHeight = std::max(rowHeight, l.plot.bottom() + bottom[ur] - y);
            x = slotRect.right() + gapX + barRoom;
            if (l.plot.width() < l.room.width() - style.unit) {
                x -= l.room.width() - l.plot.width(); // square cells: no holes between panels
            }
            g.panels.push_back(std::move(l));
        }
        g.bottom = y + rowHeight;
        y += rowHeight + gapY;
    }
    return g;
}

struct LegendEntry {
    enum class Kind : std::uint8_t { glyph, missing, notComputed, dot, outline } kind;
    QChar glyph;
    QString text;
};

std::vector<LegendEntry> legendEntries(const FigureSpec& spec,
                                       const std::vector<HeatmapLayout>& layouts,
                                       const PlotStyle& style) {
    std::vector<LegendEntry> list;
    if (!spec.legend) {
        return list;
    }
    bool missing = false, notComputed = false, dots = false, outlines = false;
    QString glyphs;
    for (std::size_t n = 0; n < spec.panels.size(); ++n) {
        const HeatmapData& d = spec.panels[n];
        const bool large =
            n >= layouts.size() || marksVisible(d, layouts[n], style, heatmapOptions(spec, false));
        for (std::size_t i = 0; i < d.values.size(); ++i) {
            const auto state =
                d.state(static_cast<int>(i) / d.columns, static_cast<int>(i) % d.columns);
            missing = missing || state == HeatmapData::State::missing;
            notComputed = notComputed || state == HeatmapData::State::notComputed;
            dots = dots || (!d.significant.empty() && d.significant[i] != 0);
            if (spec.marks && large && !d.marks.empty() && !d.marks[i].isNull() &&
                !glyphs.contains(d.marks[i])) {
                glyphs += d.marks[i];
            }
        }
        outlines = outlines || !d.outlines.empty();
    }
    for (const char* type :
         {"induction", "previous_token", "same_token", "positional", "content"}) {
        const QString t = QLatin1String(type);
        if (glyphs.contains(headTypeMark(t))) {
            list.push_back({LegendEntry::Kind::glyph, headTypeMark(t), headTypeLabel(t)});
        }
    }
    if (dots) {
        list.push_back({LegendEntry::Kind::dot, {}, tr("significant")});
    }
    if (outlines) {
        list.push_back({LegendEntry::Kind::outline, {}, tr("cluster")});
    }
    if (missing) {
        list.push_back({LegendEntry::Kind::missing, {}, tr("missing")});
    }
    if (notComputed) {
        list.push_back({LegendEntry::Kind::notComputed, {}, tr("not computed")});
    }
    return list;
}

/// Draws entries in as many lines as needed, or only measures; returns the height.
double paintLegend(QPainter* painter, const std::vector<LegendEntry>& entries, const QRectF& area,
                   const PlotStyle& style) {
    if (entries.empty()) {
        return 0;
    }
    const QFontMetricsF metrics(style.font);
    const double u = style.unit, line = metrics.height(), box = 8 * u;
    double x = area.left(), y = area.top();
    for (const LegendEntry& e : entries) {
        const double width = box + 3 * u + metrics.horizontalAdvance(e.text);
        if (x > area.left() && x + width > area.right()) {
            x = area.left();
            y += line;
        }
        if (painter != nullptr) {
            const QRectF r(x, y + (line - box) / 2, box, box);
            painter->setFont(style.font);
            painter->setPen(style.palette->text);
            switch (e.kind) {
            case LegendEntry::Kind::glyph:
                painter->drawText(QRectF(x, y, box, line), Qt::AlignCenter, QString(e.glyph));
                break;
            case LegendEntry::Kind::dot:
                painter->setPen(Qt::NoPen);
                painter->setBrush(style.palette->text);
                painter->drawEllipse(r.center(), 1.5 * u, 1.5 * u);
                break;
            case LegendEntry::Kind::missing:
                painter->fillRect(r, style.palette->missing);
                paintHatching(*painter, r, style);
                break;
            case LegendEntry::Kind::notComputed:
                painter->fillRect(QRectF(r.center() - QPointF(u, u), QSizeF(2 * u, 2 * u)),
                                  style.palette->hatch);
                [[fallthrough]];
            case LegendEntry::Kind::outline:
                painter->setBrush(Qt::NoBrush);
                painter->setPen(QPen(style.palette->text,
                                     (e.kind == LegendEntry::Kind::outline ? 1 : 0.5) * u));
                painter->drawRect(r);
                break;
            }
            painter->setPen(style.palette->text);
            painter->drawText(QRectF(x + box + 3 * u, y, width, line),
                              Qt::AlignLeft | Qt::AlignVCenter, e.text);
        }
        x += width + 10 * u;
    }
    return y + line - area.top();
}

struct Page {
    QRectF title, body, legend;
    Grid grid;
    std::vector<ColorScale> scales;
    double barWidth = 0;
};

int bestColumns(const FigureSpec& spec, const QRectF& area, const PlotStyle& style, double bar) {
    const int count = static_cast<int>(spec.panels.size());
    if (spec.gridColumns > 0) {
        return std::min(spec.gridColumns, count);
    }
    if (spec.kind == FigureKind::compare) {
        return std::min(3, count);
    }
    int best = 1;
    double largest = -1;
    for (int columns = 1; columns <= count; ++columns) {
        if (count % columns != 0) {
            continue; // no holes
        }
        const Grid g = makeGrid(spec, area, style, columns, false, bar);
        const double side = std::min(g.panels[0].cellWidth, g.panels[0].cellHeight);
        // A little better is not worth a less usual arrangement than two by two.
        const double weight = columns == 2 && count == 4 ? 1.15 : 1;
        if (side * weight > largest) {
            largest = side * weight;
            best = columns;
        }
    }
    return best;
}

/// Of the panels that share a colour bar.
QRectF barSpan(const FigureSpec& spec, const Page& p, bool difference) {
    QRectF span;
    for (std::size_t n = 0; n < spec.panels.size(); ++n) {
        if (isDifference(spec, n) == difference) {
            const QRectF& plot = p.grid.panels[n].plot;
            span = span.isNull() ? plot : span.united(plot);
        }
    }
    return span;
}

Page layoutPage(const FigureSpec& spec, const PlotStyle& style, double width, double height,
                bool fit, int labelLines = 1) {
    Page p;
    const double u = style.unit;
    const double margin = 3 * u;
    QRectF body(margin, margin, width - 2 * margin, height - 2 * margin);
    if (!spec.title.isEmpty()) {
        const double line = QFontMetricsF(style.titleFont).height();
        p.title = QRectF(body.left(), body.top(), body.width(), line);
        body.setTop(body.top() + line + 4 * u);
    }
    p.body = body;
    if (spec.panels.empty()) {
        return p;
    }
    p.scales = spec.scales();
    const bool differences =
        std::any_of(spec.difference.begin(), spec.difference.end(), [](auto d) { return d != 0; });
    p.barWidth = colorBarWidth(p.scales.front(), spec.valueLabel, style, labelLines);
    if (differences) {
        p.barWidth = std::max(
            p.barWidth, colorBarWidth(p.scales.back(), spec.differenceLabel, style, labelLines));
    }
    double own = 0; // a bar beside each panel
    QRectF area = body;
    if (spec.sharedRange) {
        area.setRight(area.right() - p.barWidth - 8 * u);
    } else {
        for (const ColorScale& scale : p.scales) {
            own = std::max(own, colorBarWidth(scale, {}, style));
        }
        own += 5 * u;
    }
    // The height of the legend depends on whether the glyphs fit, and they on the height: twice.
    double legendHeight = 0;
    int columns = 0;
    for (int round = 0; round < 2; ++round) {
        QRectF inner = area;
        if (legendHeight > 0) {
            if (spec.legendAbove) {
                inner.setTop(inner.top() + legendHeight + 5 * u);
            } else {
                inner.setBottom(inner.bottom() - legendHeight - 5 * u);
            }
        }
        if (columns == 0) {
            const double usual = fit ? inner.width() * 0.9 : inner.height();
            columns = bestColumns(spec, QRectF(inner.topLeft(), QSizeF(inner.width(), usual)),
                                  style, own);
        }
        p.grid = makeGrid(spec, inner, style, columns, fit, own);
        const auto entries = legendEntries(spec, p.grid.panels, style);
        legendHeight = paintLegend(nullptr, entries, body, style);
    }
    // A label that is longer than its bar gets a second line, or a third.
    constexpr int mostLines = 3;
    if (spec.sharedRange && labelLines < mostLines) {
        const auto lines = [&](bool difference, const QString& label) {
            return colorBarLabelLines(label, barSpan(spec, p, difference).height(), style,
                                      mostLines);
        };
        const int needed = std::max(lines(false, spec.valueLabel),
                                    differences ? lines(true, spec.differenceLabel) : 1);
        if (needed > labelLines) {
            return layoutPage(spec, style, width, height, fit, labelLines + 1);
        }
    }
    if (legendHeight > 0) {
        p.legend = QRectF(p.grid.panels[0].plot.left(),
                          spec.legendAbove ? area.top() : p.grid.bottom + 4 * u,
                          body.right() - p.grid.panels[0].plot.left(), legendHeight);
    }
    return p;
}

QString letter(std::size_t n) {
    return QString(QChar(u'a' + static_cast<char16_t>(n % 26)));
}

} // namespace

PlotStyle figureStyle(const FigureSpec& spec, double pixel) {
    PlotStyle style;
    style.palette = &Palette::paper();
    style.unit = figureUnitsPerInch / 72;
    style.pixel = pixel;
    style.font = QFont(family(spec.fontFamily));
    style.font.setHintingPreference(QFont::PreferNoHinting);
    const double points = std::clamp(spec.fontPoints, 6.0, 10.0);
    style.font.setPixelSize(qRound(points * style.unit));
    style.titleFont = style.font;
    style.titleFont.setBold(true);
    style.tickDensity = spec.tickDensity;
    style.decimalComma = spec.decimalComma;
    return style;
}

double fittingHeight(const FigureSpec& spec) {
    const double width = spec.inches.width() * figureUnitsPerInch;
    if (spec.panels.empty()) {
        return std::round(spec.inches.width() * 0.62 * 72) / 72;
    }
    const PlotStyle style = figureStyle(spec, 0);
    const double tall = 20 * figureUnitsPerInch;
    const Page p = layoutPage(spec, style, width, tall, true);
    const double bottom = std::max(p.grid.bottom, p.legend.isEmpty() ? 0 : p.legend.bottom());
    // Whole points, and no taller than a page.
    const double points = std::ceil((bottom + 3 * style.unit) / style.unit);
    return std::clamp(points, 72.0, 9 * 72.0) / 72;
}

void paintFigure(QPainter& painter, const FigureSpec& spec, double pixel) {
    const PlotStyle style = figureStyle(spec, pixel);
    const double width = spec.inches.width() * figureUnitsPerInch;
    const double height = spec.inches.height() * figureUnitsPerInch;
    const double u = style.unit;
    painter.setRenderHint(QPainter::TextAntialiasing);
    painter.fillRect(QRectF(0, 0, width, height), Qt::white);
    const Page p = layoutPage(spec, style, width, height, false);
    if (!spec.title.isEmpty()) {
        painter.setFont(style.titleFont);
        painter.setPen(style.palette->text);
        painter.drawText(
            p.title, Qt::AlignLeft | Qt::AlignTop,
            QFontMetricsF(style.titleFont).elidedText(spec.title, Qt::ElideRight, p.title.width()));
    }
    if (spec.panels.empty()) {
        paintChart(painter, spec, p.body, style);
        return;
    }
    const HeatmapOptions options = heatmapOptions(spec, false);
    for (std::size_t n = 0; n < spec.panels.size(); ++n) {
        const HeatmapLayout& l = p.grid.panels[n];
        paintHeatmap(painter, p.grid.data[n], p.scales[n], l, style, options);
        if (spec.panelLetters && spec.panels.size() > 1) {
            painter.setFont(style.titleFont);
            painter.setPen(style.palette->text);
            painter.drawText(p.grid.letters[n], Qt::AlignLeft | Qt::AlignTop, letter(n));
        }
        if (!spec.sharedRange) {
            const QRectF r(l.plot.right() + 5 * u,
                           l.plot.top() - QFontMetricsF(style.font).height() / 2, p.barWidth,
                           l.plot.height() + QFontMetricsF(style.font).height());
            paintColorBar(painter, p.scales[n], {}, layoutColorBar(p.scales[n], {}, r, style),
                          style);
        }
    }
    if (spec.sharedRange) {
        // One bar for the maps, one for the differences, each as tall as its rows of panels.
        for (const bool difference : {false, true}) {
            const QRectF span = barSpan(spec, p, difference);
            if (span.isNull()) {
                continue;
            }
            std::size_t first = 0;
            while (isDifference(spec, first) != difference) {
                ++first;
            }
            const double half = QFontMetricsF(style.font).height() / 2;
            const QString& label = difference ? spec.differenceLabel : spec.valueLabel;
            const QRectF r(p.grid.right + 8 * u, span.top() - half, p.barWidth,
                           span.height() + 2 * half);
            paintColorBar(painter, p.scales[first], label,
                          layoutColorBar(p.scales[first], label, r, style), style);
        }
    }
    paintLegend(&painter, legendEntries(spec, p.grid.panels, style), p.legend, style);
}

} // namespace qkov::ui
