// SPDX-License-Identifier: GPL-3.0-or-later
#include "figures/ChartPainter.h"

#include "base/Numbers.h"
#include "plots/HeatmapPainter.h"

#include <QCoreApplication>
#include <QFontMetricsF>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("qkov::ui::Figure", text);
}

struct Span {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();
    void take(double v) {
        if (std::isfinite(v)) {
            low = std::min(low, v);
            high = std::max(high, v);
        }
    }
    /// Never empty, with a margin of `part` of its length.
    Span padded(double below, double above) const {
        if (!(high >= low)) {
            return {0, 1};
        }
        const double length = high > low ? high - low : std::max(std::abs(high), 1e-12);
        return {low - below * length, high + above * length};
    }
};

/// A frame with axes, and where values go in it.
class Axes {
  public:
    Axes(QPainter& painter, const PlotStyle& style, const QRectF& area, Span x, Span y,
         const QString& xLabel, const QString& yLabel, bool xTicks)
        : m_painter(painter)
        , m_x(x)
        , m_y(y) {
        const double u = style.unit;
        const QFontMetricsF metrics(style.font);
        const double line = metrics.height();
        const auto wanted = [&](int usual) {
            return std::max(2, static_cast<int>(std::lround(usual * style.tickDensity)));
        };
        const AxisTicks ty = axisTicks(y.low, y.high, wanted(5));
        double widest = 0;
        for (const QString& text : ty.texts) {
            widest = std::max(widest, metrics.horizontalAdvance(text));
        }
        const QString power = powerOfTen(ty.exponent);
        // A long label takes two lines.
        const int lines = metrics.horizontalAdvance(yLabel) > area.height() * 0.75 ? 2 : 1;
        plot =
            QRectF(QPointF(area.left() + lines * line + 3 * u + widest + 6 * u,
                           area.top() + (power.isEmpty() ? line / 2 : line * 1.2)),
                   QPointF(area.right() - 4 * u,
                           area.bottom() - line - (xLabel.isEmpty() ? 0 : line + 4 * u) - 3 * u));
        QPen pen(style.palette->text, 0.6 * u);
        pen.setCapStyle(Qt::FlatCap);
        painter.setFont(style.font);
        for (std::size_t n = 0; n < ty.values.size(); ++n) {
            const double at = this->y(ty.values[n]);
            painter.setPen(pen);
            painter.drawLine(QPointF(plot.left() - 3 * u, at), QPointF(plot.left(), at));
            painter.setPen(style.palette->mutedText);
            painter.drawText(QRectF(plot.left() - 5 * u - widest, at - line / 2, widest, line),
                             Qt::AlignRight | Qt::AlignVCenter,
                             style.localized(ty.texts[qsizetype(n)]));
        }
        if (!power.isEmpty()) {
            painter.drawText(QPointF(plot.left(), plot.top() - 3 * u), power);
        }
        if (xTicks) {
            const AxisTicks tx = axisTicks(x.low, x.high, wanted(6));
            for (std::size_t n = 0; n < tx.values.size(); ++n) {
                const double at = this->x(tx.values[n]);
                painter.setPen(pen);
                painter.drawLine(QPointF(at, plot.bottom()), QPointF(at, plot.bottom() + 3 * u));
                painter.setPen(style.palette->mutedText);
                painter.drawText(QRectF(at - 40 * u, plot.bottom() + 4 * u, 80 * u, line),
                                 Qt::AlignHCenter | Qt::AlignTop,
                                 style.localized(tx.texts[qsizetype(n)]));
            }
            const QString xp = powerOfTen(tx.exponent);
            if (!xp.isEmpty()) {
                painter.drawText(
                    QRectF(plot.right() - 60 * u, plot.bottom() + 4 * u + line, 60 * u, line),
                    Qt::AlignRight | Qt::AlignTop, xp);
            }
        }
        painter.setPen(style.palette->text);
        painter.drawText(QRectF(plot.left(), area.bottom() - line, plot.width(), line),
                         Qt::AlignCenter, metrics.elidedText(xLabel, Qt::ElideRight, plot.width()));
        painter.save();
        painter.translate(area.left(), plot.bottom());
        painter.rotate(-90);
        painter.drawText(QRectF(0, 0, plot.height(), lines * line),
                         Qt::AlignCenter | Qt::TextWordWrap, yLabel);
        painter.restore();
        painter.setPen(pen);
        painter.drawLine(plot.topLeft(), plot.bottomLeft());
        painter.drawLine(plot.bottomLeft(), plot.bottomRight());
    }

    QRectF plot;
    double x(double v) const {
        return std::lerp(plot.left(), plot.right(), (v - m_x.low) / (m_x.high - m_x.low));
    }
    double y(double v) const {
        return std::lerp(plot.bottom(), plot.top(), (v - m_y.low) / (m_y.high - m_y.low));
    }

  private:
    QPainter& m_painter;
    Span m_x, m_y;
};

void paintBars(QPainter& painter, const FigureSpec& spec, const QRectF& area,
               const PlotStyle& style) {
    const double u = style.unit;
    Span y;
    y.take(0);
    for (const FigureBar& b : spec.bars) {
        y.take(b.value);
        y.take(b.low);
        y.take(b.high);
    }
    const double count = std::max<double>(1, double(spec.bars.size()));
    const Span padded{y.low < 0 ? y.padded(0.05, 0).low : 0,
                      y.high > 0 ? y.padded(0, 0.05).high : (y.low < 0 ? 0 : 1)};
    const Axes axes(painter, style, area, {0, count}, padded, spec.xLabel, spec.yLabel, false);
    const QFontMetricsF metrics(style.font);
    const QColor fill = QColor::fromRgb(spec.colorMap.at(0.35));
    const double width = std::min(axes.plot.width() / count * 0.62, 40 * u);
    for (std::size_t n = 0; n < spec.bars.size(); ++n) {
        const FigureBar& b = spec.bars[n];
        const double x = axes.x(double(n) + 0.5);
        painter.setPen(style.palette->text);
        painter.drawText(QRectF(x - axes.plot.width() / count / 2, axes.plot.bottom() + 4 * u,
                                axes.plot.width() / count, metrics.height()),
                         Qt::AlignHCenter | Qt::AlignTop, b.label);
        const double zero = axes.y(0);
        if (!std::isfinite(b.value)) {
            const QRectF r(x - width / 2, zero - 12 * u, width, 12 * u);
            painter.fillRect(r, style.palette->missing);
            paintHatching(painter, r, style);
            continue;
        }
        const double top = axes.y(b.value);
        painter.fillRect(QRectF(x - width / 2, std::min(top, zero), width, std::abs(zero - top)),
                         fill);
        if (std::isfinite(b.low) && std::isfinite(b.high)) {
            QPen pen(style.palette->text, 0.8 * u);
            pen.setCapStyle(Qt::FlatCap);
            painter.setPen(pen);
            painter.drawLine(QPointF(x, axes.y(b.low)), QPointF(x, axes.y(b.high)));
            for (const double end : {b.low, b.high}) {
                painter.drawLine(QPointF(x - 3 * u, axes.y(end)), QPointF(x + 3 * u, axes.y(end)));
            }
        }
    }
    painter.setPen(QPen(style.palette->text, 0.6 * u));
    if (padded.low < 0) {
        painter.drawLine(QPointF(axes.plot.left(), axes.y(0)),
                         QPointF(axes.plot.right(), axes.y(0)));
    }
}

void paintVolcano(QPainter& painter, const FigureSpec& spec, const QRectF& area,
                  const PlotStyle& style) {
    const double u = style.unit;
    Span x, y;
    y.take(0);
    y.take(spec.threshold);
    for (const FigurePoint& p : spec.points) {
        x.take(p.x);
        y.take(p.y);
    }
    const Axes axes(painter, style, area, x.padded(0.06, 0.06), {0, y.padded(0, 0.08).high},
                    spec.xLabel, spec.yLabel, true);
    const QFontMetricsF metrics(style.font);
    if (std::isfinite(spec.threshold)) {
        QPen pen(style.palette->outline, 0.6 * u, Qt::DashLine);
        painter.setPen(pen);
        const double at = axes.y(spec.threshold);
        painter.drawLine(QPointF(axes.plot.left(), at), QPointF(axes.plot.right(), at));
    }
    painter.setRenderHint(QPainter::Antialiasing, true);
    const double radius = 1.8 * u;
    for (const bool marked : {false, true}) {
        for (const FigurePoint& p : spec.points) {
            if (p.marked != marked || !std::isfinite(p.x) || !std::isfinite(p.y)) {
                continue;
            }
            const QPointF at(axes.x(p.x), axes.y(p.y));
            // Open rings and filled discs: told apart without colour.
            painter.setPen(
                QPen(marked ? QColor::fromRgb(spec.colorMap.at(0.35)) : style.palette->outline,
                     0.6 * u));
            painter.setBrush(marked ? QBrush(QColor::fromRgb(spec.colorMap.at(0.35)))
                                    : Qt::NoBrush);
            painter.drawEllipse(at, radius, radius);
        }
    }
    // Labels of marked points, from the highest down, where they hit nothing written before.
    std::vector<const FigurePoint*> marked;
    for (const FigurePoint& p : spec.points) {
        if (p.marked && !p.label.isEmpty() && std::isfinite(p.x) && std::isfinite(p.y)) {
            marked.push_back(&p);
        }
    }
    std::stable_sort(marked.begin(), marked.end(),
                     [](const auto* a, const auto* b) { return a->y > b->y; });
    std::vector<QRectF> taken;
    painter.setPen(style.palette->text);
    for (const FigurePoint* p : marked) {
        const double width = metrics.horizontalAdvance(p->label);
        QRectF r(axes.x(p->x) + radius + 2 * u, axes.y(p->y) - metrics.height() / 2, width,
                 metrics.height());
        if (r.right() > axes.plot.right()) {
            r.moveRight(axes.x(p->x) - radius - 2 * u);
        }
        const auto covers = [&](const FigurePoint& other) {
            return &other != p && r.contains(QPointF(axes.x(other.x), axes.y(other.y)));
        };
        const bool free = std::none_of(taken.begin(), taken.end(),
                                       [&](const QRectF& t) { return t.intersects(r); }) &&
                          std::none_of(spec.points.begin(), spec.points.end(), covers);
        if (free && r.left() >= axes.plot.left()) {
            painter.drawText(r, Qt::AlignLeft | Qt::AlignVCenter, p->label);
            taken.push_back(r);
        }
    }
    painter.setRenderHint(QPainter::Antialiasing, false);
}

void paintNull(QPainter& painter, const FigureSpec& spec, const QRectF& area,
               const PlotStyle& style) {
    const double u = style.unit;
    std::vector<double> values;
    Span range;
    for (const double v : spec.nullValues) {
        if (std::isfinite(v)) {
            values.push_back(v);
            range.take(v);
        }
    }
    // Freedman–Diaconis, between 8 and 60 bins.
    std::sort(values.begin(), values.end());
    int bins = 8;
    if (values.size() > 3 && range.high > range.low) {
        const double iqr = values[values.size() * 3 / 4] - values[values.size() / 4];
        const double width = 2 * iqr / std::cbrt(double(values.size()));
        bins = width > 0 ? static_cast<int>(std::clamp((range.high - range.low) / width, 8.0, 60.0))
                         : 8;
    }
    const double length = range.high > range.low ? range.high - range.low : 1;
    std::vector<double> counts(static_cast<std::size_t>(bins));
    for (const double v : values) {
        const auto bin = static_cast<std::size_t>((v - range.low) / length * bins);
        counts[std::min(bin, counts.size() - 1)] += 1;
    }
    Span x = range;
    x.take(spec.observed);
    Span y;
    y.take(0);
    for (const double c : counts) {
        y.take(c);
    }
    const Axes axes(painter, style, area, x.padded(0.05, 0.05), {0, y.padded(0, 0.12).high},
                    spec.xLabel, spec.yLabel, true);
    for (int n = 0; n < bins && !values.empty(); ++n) {
        const double x0 = axes.x(range.low + length * n / bins);
        const double x1 = axes.x(range.low + length * (n + 1) / bins);
        const double top = axes.y(counts[std::size_t(n)]);
        const QRectF r(x0, top, x1 - x0, axes.plot.bottom() - top);
        painter.fillRect(r, style.palette->separator);
        painter.setPen(QPen(style.palette->outline, 0.5 * u));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(r);
    }
    if (std::isfinite(spec.observed)) {
        const double at = axes.x(spec.observed);
        QPen pen(QColor::fromRgb(spec.colorMap.at(0.35)), 1.4 * u);
        pen.setCapStyle(Qt::FlatCap);
        painter.setPen(pen);
        painter.drawLine(QPointF(at, axes.plot.bottom()), QPointF(at, axes.plot.top()));
        painter.setPen(style.palette->text);
        const QFontMetricsF metrics(style.font);
        const QString text =
            tr("observed %1")
                .arg(style.localized(QString::fromStdString(formatNumber(spec.observed))));
        const double width = metrics.horizontalAdvance(text);
        const bool right = at + 3 * u + width <= axes.plot.right();
        painter.drawText(QRectF(right ? at + 3 * u : at - 3 * u - width, axes.plot.top(), width,
                                metrics.height()),
                         Qt::AlignLeft | Qt::AlignVCenter, text);
    }
}

} // namespace

void paintChart(QPainter& painter, const FigureSpec& spec, const QRectF& area,
                const PlotStyle& style) {
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, false);
    switch (spec.kind) {
    case FigureKind::bars:
        paintBars(painter, spec, area, style);
        break;
    case FigureKind::volcano:
        paintVolcano(painter, spec, area, style);
        break;
    case FigureKind::null:
        paintNull(painter, spec, area, style);
        break;
    default:
        break; // drawn as maps
    }
    painter.restore();
}

} // namespace qkov::ui
