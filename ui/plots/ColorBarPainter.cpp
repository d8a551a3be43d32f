// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapPainter.h"

#include <QFontMetricsF>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

constexpr double barWidth = 12;
constexpr double tickLength = 3;
constexpr int wrapped = Qt::AlignHCenter | Qt::AlignTop | Qt::TextWordWrap;

QString plain(double value, int decimals) {
    QString text = QString::number(value, 'f', decimals);
    if (text.startsWith(u'-')) {
        text[0] = QChar(0x2212);
        if (text.mid(1).toDouble() == 0) {
            text.remove(0, 1);
        }
    }
    return text;
}

} // namespace

QString powerOfTen(int exponent) {
    if (exponent == 0) {
        return {};
    }
    static const char16_t superscripts[] = u"⁰¹²³⁴⁵⁶⁷⁸⁹";
    QString text = QStringLiteral("×10");
    if (exponent < 0) {
        text += QChar(0x207B);
    }
    for (const QChar c : QString::number(std::abs(exponent))) {
        text += QChar(superscripts[c.digitValue()]);
    }
    return text;
}

AxisTicks axisTicks(double low, double high, int count, bool log) {
    AxisTicks t;
    if (!(high > low) || !std::isfinite(high - low)) {
        return t;
    }
    count = std::max(count, 2);
    if (log && low > 0) {
        const double decades = std::log10(high / low);
        if (decades >= 1) {
            // Powers of ten, with 2 and 5 between them where there is room.
            const int every = std::max(1, static_cast<int>(std::ceil(decades / count)));
            const bool between = decades * 3 <= count + 1;
            const int firstDecade = static_cast<int>(std::floor(std::log10(low) + 1e-9));
            for (int e = firstDecade; e <= std::log10(high) + 1e-9; ++e) {
                if ((e - firstDecade) % every != 0 && !between) {
                    continue;
                }
                for (const double factor : {1.0, 2.0, 5.0}) {
                    const double v = factor * std::pow(10.0, e);
                    if ((factor == 1 || between) && v >= low * (1 - 1e-9) &&
                        v <= high * (1 + 1e-9)) {
                        t.values.push_back(v);
                        const bool shortNumber = e >= -3 && e <= 4;
                        const QString power = powerOfTen(e).mid(1);
                        t.texts << (shortNumber   ? plain(v, std::max(0, -e))
                                    : factor == 1 ? power
                                                  : QStringLiteral("%1×%2").arg(factor).arg(power));
                    }
                }
            }
            if (t.values.size() >= 2) {
                return t;
            }
            t = {};
        }
    }
    const double rough = (high - low) / count;
    const double decade = std::pow(10.0, std::floor(std::log10(rough)));
    double step = decade * 10;
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (decade * factor >= rough * (1 - 1e-9)) {
            step = decade * factor;
            break;
        }
    }
    const double reach = std::max(std::abs(low), std::abs(high));
    const int magnitude = static_cast<int>(std::floor(std::log10(reach)));
    t.exponent = magnitude < -3 || magnitude > 4 ? magnitude : 0;
    const double unit = std::pow(10.0, t.exponent);
    const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step / unit) + 1e-9)));
    const auto first = std::ceil(low / step - 1e-6);
    for (double n = first; n * step <= high + step * 1e-6 && t.values.size() < 1000; ++n) {
        t.values.push_back(n * step);
        t.texts << plain(n * step / unit, decimals);
    }
    return t;
}

AxisTicks symlogTicks(double low, double high, double linear, int count) {
    AxisTicks t;
    const int top =
        static_cast<int>(std::floor(std::log10(std::max(std::abs(low), std::abs(high))) + 1e-9));
    const int bottom = static_cast<int>(std::ceil(std::log10(linear) - 1e-9));
    const bool both = low < 0 && high > 0;
    const int sides = std::max(1, (count - 1) / (both ? 2 : 1));
    const int every = std::max(1, (top - bottom + 1 + sides - 1) / sides);
    const auto text = [](int e, bool negative) {
        const QString number =
            e >= -3 && e <= 4 ? plain(std::pow(10.0, e), std::max(0, -e)) : powerOfTen(e).mid(1);
        return negative ? QChar(0x2212) + number : number;
    };
    for (const double sign : {-1.0, 1.0}) {
        std::vector<std::pair<double, QString>> side;
        for (int e = top; e >= bottom; e -= every) {
            const double v = sign * std::pow(10.0, e);
            if (v >= low * (1 - std::copysign(1e-9, low)) &&
                v <= high * (1 + std::copysign(1e-9, high))) {
                side.emplace_back(v, text(e, sign < 0));
            }
        }
        std::sort(side.begin(), side.end());
        if (sign > 0 && low <= 0 && high >= 0) {
            t.values.push_back(0);
            t.texts << QStringLiteral("0");
        }
        for (const auto& [v, s] : side) {
            t.values.push_back(v);
            t.texts << s;
        }
    }
    return t.values.size() >= 2 ? t : axisTicks(low, high, count);
}

ColorBarLayout layoutColorBar(const ColorScale& scale, const QString& label, const QRectF& bounds,
                              const PlotStyle& style) {
    ColorBarLayout l;
    const double u = style.unit;
    const QFontMetricsF metrics(style.font);
    const double line = metrics.height();
    const int wanted =
        std::clamp(static_cast<int>(bounds.height() / (line * 2.2)), 2,
                   std::max(2, static_cast<int>(std::lround(6 * style.tickDensity))));
    const AxisTicks ticks = scale.linear > 0
                                ? symlogTicks(scale.low, scale.high, scale.linear, wanted)
                                : axisTicks(scale.low, scale.high, wanted, scale.log);
    l.exponentText = powerOfTen(ticks.exponent);
    const double top = l.exponentText.isEmpty() ? line / 2 : line * 1.3;
    l.bar = QRectF(bounds.left(), bounds.top() + top, barWidth * u,
                   std::max(u, bounds.height() - top - line / 2));
    l.exponent = QRectF(bounds.left(), bounds.top(), bounds.width(), line);
    double widest = 0;
    for (std::size_t n = 0; n < ticks.values.size(); ++n) {
        const double p = scale.position(ticks.values[n]);
        if (p >= -1e-9 && p <= 1 + 1e-9) {
            const QString text = style.localized(ticks.texts[static_cast<qsizetype>(n)]);
            l.ticks.push_back({ticks.values[n], std::lerp(l.bar.bottom(), l.bar.top(), p), text});
            widest = std::max(widest, metrics.horizontalAdvance(text));
        }
    }
    if (!label.isEmpty()) {
        const double left = l.bar.right() + (tickLength + 2) * u + widest + 4 * u;
        const double room = std::floor((bounds.right() - left) / line + 0.01);
        l.label = QRectF(left, l.bar.top(), line * std::clamp(room, 1.0, 3.0), l.bar.height());
    }
    return l;
}

int colorBarLabelLines(const QString& label, double barHeight, const PlotStyle& style, int most) {
    const QFontMetricsF metrics(style.font);
    if (metrics.horizontalAdvance(label) <= barHeight) {
        return 1;
    }
    const QRectF box =
        metrics.boundingRect(QRectF(0, 0, barHeight, 100 * metrics.height()), wrapped, label);
    const int lines = static_cast<int>(std::lround(box.height() / metrics.height()));
    return box.width() > barHeight + 0.01 * metrics.height() ? most + 1 : std::max(2, lines);
}

double colorBarWidth(const ColorScale& scale, const QString& label, const PlotStyle& style,
                     int labelLines) {
    const QFontMetricsF metrics(style.font);
    const ColorBarLayout l =
        layoutColorBar(scale, label, QRectF(0, 0, 100 * style.unit, 150 * style.unit), style);
    double widest = 0;
    for (const auto& tick : l.ticks) {
        widest = std::max(widest, metrics.horizontalAdvance(tick.text));
    }
    return (barWidth + tickLength + 2) * style.unit + widest +
           (label.isEmpty() ? 0 : 4 * style.unit + labelLines * metrics.height()) + style.unit;
}

void paintColorBar(QPainter& painter, const ColorScale& scale, const QString& label,
                   const ColorBarLayout& l, const PlotStyle& style) {
    const Palette& palette = *style.palette;
    const double u = style.unit;
    const QFontMetricsF metrics(style.font);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, false);
    // As many steps as the map has colours, or as there are pixels.
    const int steps =
        style.vector() ? 256 : std::clamp(static_cast<int>(l.bar.height() / style.pixel), 2, 256);
    const double overlap = style.vector() ? 0.3 * u : 0;
    const auto edge = [&](int n) {
        const double y = std::lerp(l.bar.top(), l.bar.bottom(), static_cast<double>(n) / steps);
        return style.vector() ? y : std::round(y / style.pixel) * style.pixel;
    };
    for (int n = 0; n < steps; ++n) {
        const QRgb color = scale.map.at(1 - (n + 0.5) / steps);
        const double bottom = std::min(edge(n + 1) + overlap, edge(steps));
        painter.fillRect(QRectF(QPointF(l.bar.left(), edge(n)), QPointF(l.bar.right(), bottom)),
                         QColor::fromRgb(color));
    }
    // Pointed ends: there are values beyond.
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setPen(Qt::NoPen);
    const double tip = 5 * u;
    const double cx = l.bar.center().x();
    if (scale.clipsAbove) {
        painter.setBrush(QColor::fromRgb(scale.map.at(1)));
        painter.drawPolygon(
            QPolygonF({l.bar.topLeft(), {cx, l.bar.top() - tip}, l.bar.topRight()}));
    }
    if (scale.clipsBelow) {
        painter.setBrush(QColor::fromRgb(scale.map.at(0)));
        painter.drawPolygon(
            QPolygonF({l.bar.bottomLeft(), {cx, l.bar.bottom() + tip}, l.bar.bottomRight()}));
    }
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setFont(style.font);
    QPen pen(style.vector() ? palette.text : palette.outline, style.vector() ? 0.5 * u : u);
    pen.setCapStyle(Qt::FlatCap);
    const double half = metrics.height() / 2;
    for (const auto& tick : l.ticks) {
        painter.setPen(pen);
        painter.drawLine(QPointF(l.bar.right(), tick.y),
                         QPointF(l.bar.right() + tickLength * u, tick.y));
        painter.setPen(palette.mutedText);
        painter.drawText(QRectF(l.bar.right() + (tickLength + 2) * u, tick.y - half,
                                metrics.horizontalAdvance(tick.text) + 2 * u, 2 * half),
                         Qt::AlignLeft | Qt::AlignVCenter, tick.text);
    }
    if (!l.exponentText.isEmpty()) {
        painter.setPen(palette.mutedText);
        painter.drawText(l.exponent, Qt::AlignLeft | Qt::AlignTop, l.exponentText);
    }
    if (!label.isEmpty()) {
        painter.setPen(palette.text);
        painter.translate(l.label.left(), l.label.bottom());
        painter.rotate(-90);
        const QRectF box(0, 0, l.label.height(), l.label.width());
        const int room = static_cast<int>(std::lround(l.label.width() / metrics.height()));
        const int lines = colorBarLabelLines(label, l.label.height(), style, room);
        if (lines > 1 && lines <= room) {
            painter.drawText(box, wrapped, label);
        } else {
            painter.drawText(box, Qt::AlignHCenter | Qt::AlignTop,
                             metrics.elidedText(label, Qt::ElideRight, l.label.height()));
        }
    }
    painter.restore();
}

} // namespace qkov::ui
