// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QList>
#include <QString>
#include <QWidget>

class QGridLayout;

namespace qkov::ui {

/// Names left in quiet text, values right of them; rows with an empty value are left out.
class FactList : public QWidget {
    Q_OBJECT

  public:
    struct Fact {
        QString name;
        QString value;
        QString toolTip = {};
    };
    explicit FactList(QWidget* parent = nullptr);
    void setFacts(const QList<Fact>& facts);
    /// What is shown, "name: value" a line; for tests and copying.
    QString text() const;

  private:
    QGridLayout* m_grid;
    QList<Fact> m_facts;
};

} // namespace qkov::ui
