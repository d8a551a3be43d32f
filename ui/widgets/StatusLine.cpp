// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/StatusLine.h"

#include "plots/Icons.h"
#include "widgets/Theme.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>

namespace qkov::ui {

namespace {
constexpr int iconSize = 14;
}

StatusLine::StatusLine(QWidget* parent)
    : QWidget(parent)
    , m_icon(new QLabel(this))
    , m_text(new QLabel(this)) {
    m_text->setWordWrap(true);
    m_text->setTextFormat(Qt::PlainText);
    m_text->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_text->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    m_icon->setAlignment(Qt::AlignTop);
    m_icon->setFixedWidth(iconSize);
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(6);
    line->addWidget(m_icon);
    line->addWidget(m_text, 1);
    refresh();
}

void StatusLine::reserveLines(int lines) {
    m_text->setMinimumHeight(lines * m_text->fontMetrics().lineSpacing() + 2);
}

QString StatusLine::text() const {
    return m_text->text();
}

void StatusLine::setStatus(Kind kind, const QString& text) {
    m_kind = kind;
    m_text->setText(text);
    setAccessibleName(text);
    refresh();
}

void StatusLine::refresh() {
    const Palette& p = Palette::current(this);
    const QColor color = m_kind == Kind::error     ? p.error
                         : m_kind == Kind::warning ? p.warning
                         : m_kind == Kind::good    ? p.good
                                                   : p.mutedText;
    const QString name = m_kind == Kind::error     ? QStringLiteral("error")
                         : m_kind == Kind::warning ? QStringLiteral("warning")
                         : m_kind == Kind::good    ? QStringLiteral("check")
                                                   : QString();
    m_icon->setVisible(!name.isEmpty());
    if (!name.isEmpty()) {
        m_icon->setPixmap(icon(name, color).pixmap(QSize(iconSize, iconSize), devicePixelRatioF()));
    }
    QPalette words = m_text->palette();
    const QColor text = m_kind == Kind::error   ? p.error
                        : m_kind == Kind::quiet ? p.mutedText
                                                : p.text;
    if (words.color(QPalette::WindowText) != text) {
        words.setColor(QPalette::WindowText, text);
        m_text->setPalette(words);
    }
}

void StatusLine::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        refresh();
    }
}

} // namespace qkov::ui
