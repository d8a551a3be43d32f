// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/Card.h"

#include "widgets/Theme.h"

#include <QLabel>
#include <QVBoxLayout>

namespace qkov::ui {

Card::Card(const QString& title, QWidget* parent)
    : QFrame(parent)
    , m_body(new QVBoxLayout(this)) {
    setProperty("card", true);
    setAttribute(Qt::WA_StyledBackground);
    m_body->setContentsMargins(12, 10, 12, 12);
    m_body->setSpacing(8);
    if (!title.isEmpty()) {
        setTitle(title);
    }
}

QHBoxLayout* Card::header() {
    if (!m_header) {
        m_header = new QHBoxLayout;
        m_header->setSpacing(8);
        m_title = new QLabel(this);
        setTextSize(m_title, TextSize::body, true);
        m_header->addWidget(m_title, 1);
        m_body->insertLayout(0, m_header);
    }
    return m_header;
}

void Card::setTitle(const QString& title) {
    header();
    m_title->setText(title);
}

} // namespace qkov::ui
