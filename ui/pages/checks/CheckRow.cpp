// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/checks/CheckRow.h"

#include "plots/Icons.h"
#include "widgets/Theme.h"

#include <QEvent>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>

namespace qkov::ui {

namespace {

QLabel* line(const QString& text, QWidget* parent) {
    auto* label = new QLabel(text, parent);
    label->setWordWrap(true);
    label->setTextFormat(Qt::PlainText);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    return label;
}

} // namespace

CheckRow::CheckRow(const CheckText& text, QWidget* parent)
    : QWidget(parent)
    , m_text(text)
    , m_icon(new QLabel(this))
    , m_status(new QLabel(text.status, this)) {
    setAccessibleName(QStringLiteral("%1: %2").arg(text.title, text.status));
    setAccessibleDescription(text.detail);
    m_icon->setFixedWidth(20);
    auto* title = new QLabel(text.title, this);
    setTextSize(title, TextSize::body, true);
    title->setWordWrap(true);
    auto* head = new QHBoxLayout;
    head->setSpacing(8);
    head->addWidget(title, 1);
    head->addWidget(m_status);
    auto* words = new QVBoxLayout;
    words->setSpacing(3);
    words->addLayout(head);
    if (!text.meaning.isEmpty()) {
        QLabel* meaning = line(text.meaning, this);
        setMuted(meaning);
        words->addWidget(meaning);
    }
    if (!text.detail.isEmpty()) {
        words->addWidget(line(text.detail, this));
    }
    if (!text.advice.isEmpty()) {
        m_advice = line(text.advice, this);
        words->addWidget(m_advice);
    }
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(4, 10, 4, 10);
    row->setSpacing(10);
    row->addWidget(m_icon, 0, Qt::AlignTop);
    row->addLayout(words, 1);
    recolour();
}

void CheckRow::addLinks(const QString& html) {
    m_links = new QLabel(html, this);
    m_links->setWordWrap(true);
    m_links->setTextFormat(Qt::RichText);
    m_links->setTextInteractionFlags(Qt::TextBrowserInteraction);
    m_links->setAccessibleName(tr("Cells to look at"));
    connect(m_links, &QLabel::linkActivated, this, &CheckRow::linkActivated);
    static_cast<QVBoxLayout*>(layout()->itemAt(1)->layout())->addWidget(m_links);
}

void CheckRow::recolour() {
    const Palette& palette = Palette::current(this);
    QColor colour = palette.mutedText;
    QString name = QStringLiteral("info");
    switch (m_text.level) {
    case CheckLevel::good:
        colour = palette.good;
        name = QStringLiteral("check");
        break;
    case CheckLevel::look:
        colour = palette.warning;
        name = QStringLiteral("warning");
        break;
    case CheckLevel::bad:
        colour = palette.error;
        name = QStringLiteral("error");
        break;
    case CheckLevel::skipped:
        break;
    }
    m_icon->setPixmap(icon(name, colour).pixmap(QSize(20, 20), devicePixelRatioF()));
    const auto tint = [&](QLabel* label) {
        QPalette p = label->palette();
        if (p.color(QPalette::WindowText) != colour) {
            p.setColor(QPalette::WindowText, colour);
            label->setPalette(p);
        }
    };
    tint(m_status);
    if (m_advice != nullptr) {
        tint(m_advice);
    }
}

void CheckRow::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        recolour();
    }
}

} // namespace qkov::ui
