// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/SegmentedControl.h"

#include <QButtonGroup>
#include <QHBoxLayout>
#include <QStyle>
#include <QToolButton>

namespace qkov::ui {

SegmentedControl::SegmentedControl(QWidget* parent)
    : QWidget(parent)
    , m_layout(new QHBoxLayout(this))
    , m_group(new QButtonGroup(this)) {
    m_layout->setContentsMargins(0, 0, 0, 0);
    m_layout->setSpacing(0);
    connect(m_group, &QButtonGroup::idClicked, this, &SegmentedControl::chosen);
    // Tab goes to the chosen segment, arrows to the others. Qt itself looks at this only when one
    // of them takes the focus.
    connect(m_group, &QButtonGroup::idToggled, this, [this] {
        const auto* chosen = m_group->checkedButton();
        for (auto* b : m_group->buttons()) {
            b->setFocusPolicy(!chosen || b == chosen ? Qt::StrongFocus : Qt::ClickFocus);
        }
    });
}

void SegmentedControl::addSegment(int id, const QString& text, const QString& toolTip) {
    auto* b = new QToolButton(this);
    b->setText(text);
    b->setCheckable(true);
    b->setToolTip(toolTip);
    b->setProperty("segment", true);
    b->setFocusPolicy(Qt::StrongFocus);
    b->setAccessibleName(text);
    b->setAccessibleDescription(toolTip);
    const auto buttons = m_group->buttons();
    b->setProperty("place", buttons.isEmpty() ? "first" : "last");
    if (buttons.size() > 1) {
        buttons.last()->setProperty("place", "middle");
        buttons.last()->style()->unpolish(buttons.last());
        buttons.last()->style()->polish(buttons.last());
    }
    m_group->addButton(b, id);
    m_layout->addWidget(b);
}

int SegmentedControl::current() const {
    return m_group->checkedId();
}

void SegmentedControl::setCurrent(int id) {
    if (auto* b = m_group->button(id)) {
        b->setChecked(true);
    } else if (auto* checked = m_group->checkedButton()) {
        m_group->setExclusive(false);
        checked->setChecked(false);
        m_group->setExclusive(true);
    }
}

void SegmentedControl::setSegmentEnabled(int id, bool enabled, const QString& toolTip) {
    if (auto* b = m_group->button(id)) {
        b->setEnabled(enabled);
        b->setToolTip(toolTip);
        b->setAccessibleDescription(toolTip);
    }
}

QToolButton* SegmentedControl::button(int id) const {
    return qobject_cast<QToolButton*>(m_group->button(id));
}

} // namespace qkov::ui
