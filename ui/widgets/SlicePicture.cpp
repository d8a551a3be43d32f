// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/SlicePicture.h"

#include "plots/Palette.h"
#include "widgets/Theme.h"

#include <QPainter>

#include <algorithm>

namespace qkov::ui {

SlicePicture::SlicePicture(QWidget* parent)
    : QWidget(parent) {}

void SlicePicture::clear(const QString& hint) {
    m_rows = m_columns = 0;
    m_slice.reset();
    m_hint = hint;
    setAccessibleDescription(hint);
    update();
}

void SlicePicture::setSlice(std::int64_t rows, std::int64_t columns,
                            const std::optional<model::HeadSlice>& slice, const QString& title) {
    m_rows = rows;
    m_columns = columns;
    m_slice = slice;
    m_title = title;
    setAccessibleDescription(title + QStringLiteral(": ") + words());
    update();
}

QString SlicePicture::words() const {
    if (m_rows <= 0 || !m_slice) {
        return {};
    }
    const bool rows = m_slice->axis == model::Axis::rows;
    return (rows ? tr("rows %1–%2 of %3") : tr("columns %1–%2 of %3"))
        .arg(m_slice->start)
        .arg(m_slice->start + m_slice->length - 1)
        .arg(rows ? m_rows : m_columns);
}

void SlicePicture::paintEvent(QPaintEvent*) {
    const Palette& p = Palette::current(this);
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    if (m_rows <= 0 || m_columns <= 0) {
        painter.setPen(p.mutedText);
        painter.drawText(rect().adjusted(8, 8, -8, -8), Qt::AlignCenter | Qt::TextWordWrap, m_hint);
        return;
    }
    const int line = fontMetrics().height() + 2;
    painter.setPen(p.text);
    painter.drawText(QRect(0, 0, width(), line), Qt::AlignHCenter | Qt::AlignVCenter, m_title);
    painter.setFont(textFont(TextSize::small));
    painter.setPen(p.mutedText);
    painter.drawText(QRect(0, height() - 2 * line, width(), line),
                     Qt::AlignHCenter | Qt::AlignVCenter, words());
    painter.drawText(QRect(0, height() - line, width(), line), Qt::AlignHCenter | Qt::AlignVCenter,
                     QStringLiteral("%1 × %2").arg(m_rows).arg(m_columns));
    const QRectF area = QRectF(rect()).adjusted(8, line + 6, -8, -2 * line - 6);
    // True proportions, but no thinner than can be seen.
    const double ratio =
        std::clamp(static_cast<double>(m_columns) / static_cast<double>(m_rows), 0.2, 5.0);
    QSizeF size(area.width(), area.width() / ratio);
    if (size.height() > area.height()) {
        size = QSizeF(area.height() * ratio, area.height());
    }
    const QRectF r(area.center() - QPointF(size.width() / 2, size.height() / 2), size);
    painter.setPen(QPen(p.outline, 1));
    painter.setBrush(p.raised);
    painter.drawRect(r);
    if (m_slice) {
        const bool rows = m_slice->axis == model::Axis::rows;
        const double whole = static_cast<double>(rows ? m_rows : m_columns);
        const double from = static_cast<double>(m_slice->start) / whole;
        const double part = static_cast<double>(m_slice->length) / whole;
        QRectF s = rows ? QRectF(r.left(), r.top() + from * r.height(), r.width(),
                                 std::max(2.0, part * r.height()))
                        : QRectF(r.left() + from * r.width(), r.top(),
                                 std::max(2.0, part * r.width()), r.height());
        painter.setPen(Qt::NoPen);
        painter.setBrush(p.accent);
        painter.drawRect(s);
    }
}

} // namespace qkov::ui
