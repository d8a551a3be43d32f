// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDialog>
#include <QString>

#include <vector>

class QMenuBar;

namespace qkov::ui {

/// Keys that are no action of a menu: arrows on a map, Enter in a table.
struct KeyNote {
    QString place; ///< "On a map"
    QString keys;  ///< "← → ↑ ↓"
    QString does;  ///< "move the selection"
};

/// All shortcuts on one sheet, by menu, then by place.
class ShortcutSheet : public QDialog {
    Q_OBJECT

  public:
    ShortcutSheet(const QMenuBar* bar, const std::vector<KeyNote>& notes, QWidget* window);
    /// What is shown, as "place\tkeys\tdoes" lines; for tests and for copying.
    QString text() const { return m_text; }

  private:
    QString m_text;
};

} // namespace qkov::ui
