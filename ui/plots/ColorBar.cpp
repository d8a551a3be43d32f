// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/ColorBar.h"

#include "base/Numbers.h"
#include "plots/HeatmapPainter.h"

#include <QEvent>
#include <QFontMetricsF>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

ColorBar::ColorBar(QWidget* parent)
    : QWidget(parent) {
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Expanding);
    setAccessibleName(tr("Colour scale"));
}

void ColorBar::setScale(const ColorScale& scale) {
    m_scale = scale;
    setAccessibleDescription(scale.empty
                                 ? tr("No values")
                                 : tr("%1 to %2")
                                       .arg(QString::fromStdString(formatNumber(scale.low)),
                                            QString::fromStdString(formatNumber(scale.high))));
    updateGeometry();
    update();
}

void ColorBar::setLabel(const QString& label) {
    m_label = label;
    updateGeometry();
    update();
}

void ColorBar::setPointer(std::optional<double> value) {
    if (value != m_pointer) {
        m_pointer = value;
        update();
    }
}

QSize ColorBar::sizeHint() const {
    // The width for the longest ticks that may come, so that no scale moves the layout.
    const PlotStyle style = PlotStyle::screen(this);
    const double ticks = QFontMetricsF(style.font).horizontalAdvance(QStringLiteral("−0.000"));
    const double label = m_label.isEmpty() ? 0 : QFontMetricsF(style.font).height() + 4;
    return {static_cast<int>(std::ceil(14 + 8 + ticks + label + 4)), 160};
}

QSize ColorBar::minimumSizeHint() const {
    return {sizeHint().width(), 60};
}

void ColorBar::paintEvent(QPaintEvent*) {
    if (m_scale.empty) {
        return;
    }
    const PlotStyle style = PlotStyle::screen(this);
    QPainter painter(this);
    const ColorBarLayout l =
        layoutColorBar(m_scale, m_label, QRectF(rect()).adjusted(6, 4, 0, -4), style);
    paintColorBar(painter, m_scale, m_label, l, style);
    if (m_pointer && std::isfinite(*m_pointer)) {
        const double p = std::clamp(m_scale.position(*m_pointer), 0.0, 1.0);
        const double y = std::lerp(l.bar.bottom(), l.bar.top(), p);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(Qt::NoPen);
        painter.setBrush(style.palette->text);
        painter.drawPolygon(
            QPolygonF({{l.bar.left() - 6, y - 4}, {l.bar.left() - 6, y + 4}, {l.bar.left(), y}}));
    }
}

void ColorBar::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        updateGeometry();
        update();
    }
    QWidget::changeEvent(event);
}

} // namespace qkov::ui
