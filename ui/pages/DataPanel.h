// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QTreeView;

namespace qkov::ui {

class DataTreeModel;
class Document;

/// Left of the pages: what the open file holds, and what is missing.
class DataPanel : public QWidget {
    Q_OBJECT

  public:
    explicit DataPanel(Document* document, QWidget* parent = nullptr);
    QTreeView* tree() const { return m_tree; }
    DataTreeModel* model() const { return m_model; }

  signals:
    void parameterActivated(const QString& name);
    void taskActivated(const QString& name);

  protected:
    void changeEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    void expandMain();
    DataTreeModel* m_model;
    QTreeView* m_tree;
};

} // namespace qkov::ui
