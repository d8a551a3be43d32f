// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "shell/Actions.h"

#include <QDialog>

class QLineEdit;
class QListWidget;
class QListWidgetItem;

namespace qkov::ui {

/// Ctrl+K: type a few letters of any action, Enter runs it. Opens over the top of its window.
class ActionFinder : public QDialog {
    Q_OBJECT

  public:
    ActionFinder(const QMenuBar* bar, QWidget* window);

    /// How well `query` describes `text`: its words in any order, each as a part of a word; else
    /// its letters in order. Lower is better; negative: not at all.
    static int match(const QString& text, const QString& query);

  protected:
    bool eventFilter(QObject* object, QEvent* event) override;
    void showEvent(QShowEvent* event) override;

  private:
    void filter(const QString& query);
    void run(const QListWidgetItem* item);

    std::vector<NamedAction> m_actions;
    QLineEdit* m_field;
    QListWidget* m_list;
};

} // namespace qkov::ui
