// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QLabel;

namespace qkov::ui {

class Document;
class FactList;

/// A model folder is open: what it is, and the way on to gradients.
class ModelPage : public QWidget {
    Q_OBJECT

  public:
    explicit ModelPage(Document* document, QWidget* parent = nullptr);

  signals:
    void collectRequested();

  private:
    void refresh();
    Document* m_document;
    QLabel* m_title;
    FactList* m_facts;
};

} // namespace qkov::ui
