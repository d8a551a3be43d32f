// SPDX-License-Identifier: GPL-3.0-or-later
// Every action a window offers, found through its menus: what the action finder and the sheet of
// shortcuts show, so that neither can forget one.
#pragma once

#include <QPointer>
#include <QString>

#include <vector>

class QAction;
class QMenuBar;

namespace qkov::ui {

struct NamedAction {
    QPointer<QAction> action;
    QString menu; ///< "File › Export", without mnemonics
    QString text; ///< "Figure as PDF"
};

/// In menu order; separators and submenus themselves left out. Menus that fill themselves when they
/// open (recent files) are asked to.
std::vector<NamedAction> actionsOf(const QMenuBar* bar);
/// Without mnemonic ampersands and trailing dots.
QString plainText(const QString& text);

} // namespace qkov::ui
