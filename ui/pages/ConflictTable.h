// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/ConflictModel.h"

#include <QWidget>

class QLabel;
class QLineEdit;
class QTableView;
class QTimer;

namespace qkov::ui {

class Document;
class ElidedLabel;

/// The conflict model with its filter line and the number of pairs it lists. The row of the
/// selected pair follows the selection, and sets it.
class ConflictTable : public QWidget {
    Q_OBJECT

  public:
    ConflictTable(Document* document, ConflictModel::Scope scope, QWidget* parent = nullptr);

    ConflictModel* model() const { return m_model; }
    QTableView* view() const { return m_view; }
    QLineEdit* filterEdit() const { return m_filter; }
    void setColumns(const QList<int>& columns);

  protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

  private:
    void refreshSummary();
    void followSelection();

    Document* m_document;
    ConflictModel* m_model;
    QLineEdit* m_filter;
    QTableView* m_view;
    ElidedLabel* m_summary;
    QTimer* m_typing;
    bool m_following = false;
};

} // namespace qkov::ui
