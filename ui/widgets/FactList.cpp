// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/FactList.h"

#include "widgets/Theme.h"

#include <QGridLayout>
#include <QLabel>

namespace qkov::ui {

FactList::FactList(QWidget* parent)
    : QWidget(parent)
    , m_grid(new QGridLayout(this)) {
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setHorizontalSpacing(12);
    m_grid->setVerticalSpacing(3);
    m_grid->setColumnStretch(1, 1);
}

void FactList::setFacts(const QList<Fact>& facts) {
    m_facts = facts;
    const auto label = [this](int row, int column) {
        auto* item = m_grid->itemAtPosition(row, column);
        auto* l = item ? qobject_cast<QLabel*>(item->widget()) : nullptr;
        if (!l) {
            l = new QLabel(this);
            l->setTextFormat(Qt::PlainText);
            l->setAlignment(Qt::AlignLeft | Qt::AlignTop);
            if (column == 0) {
                setMuted(l);
            } else {
                l->setWordWrap(true);
                l->setTextInteractionFlags(Qt::TextSelectableByMouse);
            }
            m_grid->addWidget(l, row, column);
        }
        l->show();
        return l;
    };
    int row = 0;
    for (const Fact& f : facts) {
        if (f.value.isEmpty()) {
            continue;
        }
        label(row, 0)->setText(f.name);
        auto* value = label(row, 1);
        value->setText(f.value);
        value->setToolTip(f.toolTip);
        value->setAccessibleName(f.name + QStringLiteral(": ") + f.value);
        ++row;
    }
    for (; m_grid->itemAtPosition(row, 0); ++row) {
        m_grid->itemAtPosition(row, 0)->widget()->hide();
        m_grid->itemAtPosition(row, 1)->widget()->hide();
    }
}

QString FactList::text() const {
    QStringList lines;
    for (const Fact& f : m_facts) {
        if (!f.value.isEmpty()) {
            lines << f.name + QStringLiteral(": ") + f.value;
        }
    }
    return lines.join(QLatin1Char('\n'));
}

} // namespace qkov::ui
