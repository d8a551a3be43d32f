// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/BlockBars.h"

#include "document/Words.h"
#include "plots/Palette.h"

#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkov::ui {

BlockBars::BlockBars(QWidget* parent)
    : QWidget(parent) {
    clear();
}

void BlockBars::clear() {
    m_values.fill(std::numeric_limits<double>::quiet_NaN());
    m_emphasis.reset();
    setAccessibleDescription({});
    update();
}

void BlockBars::setValues(const std::array<double, 4>& values) {
    m_values = values;
    QStringList words;
    for (const Block b : allBlocks) {
        words << QLatin1Char(blockName(b)) + QStringLiteral(" ") + number(values[blockIndex(b)]);
    }
    setAccessibleDescription(words.join(QStringLiteral(", ")));
    update();
}

void BlockBars::setEmphasis(std::optional<Block> block) {
    m_emphasis = block;
    update();
}

void BlockBars::setCompact(bool compact) {
    m_compact = compact;
    updateGeometry();
    update();
}

QSize BlockBars::sizeHint() const {
    const int line = fontMetrics().height() + 6;
    return m_compact ? QSize(480, line) : QSize(220, 4 * line);
}

QSize BlockBars::minimumSizeHint() const {
    const int line = fontMetrics().height() + 6;
    return m_compact ? QSize(200, line) : QSize(140, 4 * line);
}

QRectF BlockBars::placeOf(int k) const {
    if (m_compact) {
        const double gap = 12;
        const double w = (width() - 3 * gap) / 4;
        return {k * (w + gap), 0, w, static_cast<double>(height())};
    }
    const double h = fontMetrics().height() + 6;
    return {0, k * h, static_cast<double>(width()), h};
}

void BlockBars::paintEvent(QPaintEvent*) {
    const Palette& p = Palette::current(this);
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    double low = 0;
    double high = 0;
    QFont strongFont = font();
    strongFont.setWeight(QFont::DemiBold);
    const QFontMetrics strongMetrics(strongFont);
    int numberWidth = 0;
    for (const double v : m_values) {
        numberWidth = std::max(numberWidth, strongMetrics.horizontalAdvance(number(v)));
        if (std::isfinite(v)) {
            low = std::min(low, v);
            high = std::max(high, v);
        }
    }
    const double span = high - low;
    const int nameWidth = strongMetrics.horizontalAdvance(QLatin1Char('W')) + 6;
    for (int k = 0; k < 4; ++k) {
        const Block b = allBlocks[static_cast<std::size_t>(k)];
        const double v = m_values[static_cast<std::size_t>(k)];
        const QRectF r = placeOf(k);
        const bool strong = m_emphasis == b;
        painter.setFont(strong ? strongFont : font());
        painter.setPen(strong ? p.text : p.mutedText);
        painter.drawText(QRectF(r.left(), r.top(), nameWidth, r.height()),
                         Qt::AlignLeft | Qt::AlignVCenter, QString(QLatin1Char(blockName(b))));
        painter.drawText(QRectF(r.right() - numberWidth - 6, r.top(), numberWidth + 6, r.height()),
                         Qt::AlignRight | Qt::AlignVCenter, number(v));
        const QRectF track(r.left() + nameWidth, r.center().y() - 4,
                           std::max(0.0, r.width() - nameWidth - numberWidth - 14), 8);
        if (track.width() < 24) { // too short to tell lengths apart
            continue;
        }
        painter.setPen(Qt::NoPen);
        painter.setBrush(p.raised);
        painter.drawRoundedRect(track, 2, 2);
        if (std::isfinite(v) && span > 0) {
            const double zero = track.left() + track.width() * (-low / span);
            const double end = track.left() + track.width() * ((v - low) / span);
            painter.setBrush(strong ? p.text : p.outline);
            painter.drawRoundedRect(QRectF(std::min(zero, end), track.top(),
                                           std::max(1.0, std::abs(end - zero)), track.height()),
                                    2, 2);
        }
    }
}

void BlockBars::mousePressEvent(QMouseEvent* event) {
    for (int k = 0; k < 4; ++k) {
        if (placeOf(k).contains(event->position())) {
            emit clicked(allBlocks[static_cast<std::size_t>(k)]);
        }
    }
}

} // namespace qkov::ui
