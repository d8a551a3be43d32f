// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/Actions.h"

#include <QAction>
#include <QMenu>
#include <QMenuBar>

namespace qkov::ui {

namespace {

void collect(const QMenu* menu, const QString& path, std::vector<NamedAction>& into) {
    emit const_cast<QMenu*>(menu)->aboutToShow();
    for (QAction* action : menu->actions()) {
        if (action->isSeparator() || !action->isVisible()) {
            continue;
        }
        if (action->menu()) {
            collect(action->menu(), path + QStringLiteral(" › ") + plainText(action->text()), into);
        } else {
            into.push_back({action, path, plainText(action->text())});
        }
    }
}

} // namespace

QString plainText(const QString& text) {
    QString plain;
    for (qsizetype i = 0; i < text.size(); ++i) {
        if (text[i] == QLatin1Char('&') && i + 1 < text.size()) {
            ++i; // "&&" is an ampersand, "&x" an x
        }
        plain += text[i];
    }
    while (plain.endsWith(QChar(0x2026)) || plain.endsWith(QLatin1Char('.'))) {
        plain.chop(1);
    }
    return plain;
}

std::vector<NamedAction> actionsOf(const QMenuBar* bar) {
    std::vector<NamedAction> all;
    for (const QAction* action : bar->actions()) {
        if (action->menu() && action->isVisible()) {
            collect(action->menu(), plainText(action->text()), all);
        }
    }
    return all;
}

} // namespace qkov::ui
