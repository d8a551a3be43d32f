// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/MessageBar.h"

#include "plots/Icons.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QClipboard>
#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>

namespace qkov::ui {

MessageBar::MessageBar(QWidget* parent)
    : QFrame(parent)
    , m_icon(new QLabel(this))
    , m_what(new QLabel(this))
    , m_where(new QLabel(this))
    , m_action(new QPushButton(this))
    , m_copy(new QPushButton(tr("Copy details"), this))
    , m_close(new QToolButton(this)) {
    setProperty("bar", true);
    setAttribute(Qt::WA_StyledBackground);
    nameWidget(this, "messageBar", tr("Message"));
    for (QLabel* l : {m_what, m_where}) {
        l->setTextFormat(Qt::PlainText);
        l->setWordWrap(true);
        l->setTextInteractionFlags(Qt::TextSelectableByMouse);
    }
    m_what->setObjectName(QStringLiteral("messageWhat"));
    m_where->setObjectName(QStringLiteral("messageWhere"));
    setTextSize(m_what, TextSize::body, true);
    setTextSize(m_where, TextSize::small);
    setMuted(m_where);
    nameWidget(m_action, "messageAction", {});
    m_copy->setProperty("link", true);
    m_copy->setObjectName(QStringLiteral("copyDetails"));
    setIconName(m_copy, QStringLiteral("copy"));
    setIconName(m_close, QStringLiteral("close"));
    nameWidget(m_close, "closeMessage", tr("Close the message"));
    m_close->setToolTip(tr("Close"));

    auto* text = new QVBoxLayout;
    text->setSpacing(2);
    text->addWidget(m_what);
    text->addWidget(m_where);
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(12, 8, 8, 8);
    line->setSpacing(10);
    line->addWidget(m_icon, 0, Qt::AlignTop);
    line->addLayout(text, 1);
    line->addWidget(m_action, 0, Qt::AlignVCenter);
    line->addWidget(m_copy, 0, Qt::AlignTop);
    line->addWidget(m_close, 0, Qt::AlignTop);
    connect(m_copy, &QPushButton::clicked, this,
            [this] { QApplication::clipboard()->setText(m_message.details()); });
    connect(m_action, &QPushButton::clicked, this, &MessageBar::actionRequested);
    connect(m_close, &QToolButton::clicked, this, &MessageBar::closed);
    hide();
}

void MessageBar::setMessage(const Message& message) {
    m_message = message;
    m_what->setText(message.what);
    QStringList rest;
    for (const QString& part : {message.where, message.advice}) {
        if (!part.isEmpty()) {
            rest << part;
        }
    }
    m_where->setText(rest.join(QStringLiteral("  ·  ")));
    m_where->setVisible(!rest.isEmpty());
    m_action->setText(message.action);
    m_action->setAccessibleName(message.action);
    m_action->setVisible(!message.action.isEmpty());
    m_copy->setVisible(message.severity == Message::Severity::error ||
                       message.severity == Message::Severity::warning);
    setAccessibleDescription(message.what + QLatin1Char('\n') + m_where->text());
    refreshIcon();
    setVisible(!message.empty());
}

void MessageBar::refreshIcon() {
    const Palette& p = Palette::current(this);
    using S = Message::Severity;
    const QIcon i = m_message.severity == S::error     ? icon(QStringLiteral("error"), p.error)
                    : m_message.severity == S::warning ? icon(QStringLiteral("warning"), p.warning)
                                                       : icon(QStringLiteral("info"), p.mutedText);
    m_icon->setPixmap(i.pixmap(QSize(18, 18), devicePixelRatioF()));
}

void MessageBar::changeEvent(QEvent* event) {
    QFrame::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        refreshIcon();
    }
}

} // namespace qkov::ui
