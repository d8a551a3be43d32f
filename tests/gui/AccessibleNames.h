// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAccessible>
#include <QStringList>
#include <QTest>
#include <QWidget>

#include <functional>

namespace qkov::test {

/// Every control that assistive technology meets has a name. Returns the tree.
inline QString checkNames(QWidget* root) {
    QStringList nameless;
    QString tree;
    const std::function<void(QAccessibleInterface*, int)> walk = [&](QAccessibleInterface* a,
                                                                     int depth) {
        if (!a || !a->isValid() || depth > 20) {
            return;
        }
        const auto state = a->state();
        if (state.invisible) {
            return;
        }
        const QString name = a->text(QAccessible::Name);
        tree += QString(depth * 2, QLatin1Char(' ')) + QString::number(a->role(), 16) +
                QLatin1Char(' ') + name + QLatin1Char('\n');
        const auto role = a->role();
        const bool control = role == QAccessible::Button || role == QAccessible::ComboBox ||
                             role == QAccessible::EditableText || role == QAccessible::CheckBox ||
                             role == QAccessible::SpinBox || role == QAccessible::PushButton ||
                             role == QAccessible::Table || role == QAccessible::Tree;
        const QObject* o = a->object();
        const bool internal =
            o && (o->objectName().startsWith(QLatin1String("qt_")) || o->inherits("QHeaderView") ||
                  o->inherits("QLineEditIconButton") ||
                  (o->parent() && o->parent()->inherits("QComboBox")));
        if (control && name.isEmpty() && !internal) {
            nameless << QString::fromLatin1(o ? o->metaObject()->className() : "?") +
                            QLatin1Char(' ') + (o ? o->objectName() : QString());
        }
        if (role == QAccessible::Table || role == QAccessible::Tree || role == QAccessible::List) {
            return; // their cells are data
        }
        for (int c = 0; c < a->childCount(); ++c) {
            walk(a->child(c), depth + 1);
        }
    };
    walk(QAccessible::queryAccessibleInterface(root), 0);
    if (!nameless.isEmpty()) {
        QTest::qFail(qPrintable(nameless.join(QStringLiteral(", "))), __FILE__, __LINE__);
    }
    return tree;
}

} // namespace qkov::test
