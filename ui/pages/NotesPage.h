// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Notes.h"

#include <QWidget>

class QLabel;
class QListWidget;
class QPlainTextEdit;
class QToolButton;

namespace qkov::ui {

class Document;
class ElidedLabel;

/// What was written about cells and pairs: the list, and the note on the current selection.
class NotesPage : public QWidget {
    Q_OBJECT

  public:
    NotesPage(Document* document, Notes* notes, QWidget* parent = nullptr);
    QListWidget* list() const { return m_list; }
    QPlainTextEdit* editor() const { return m_editor; }
    /// Cursor into the note on the current selection.
    void edit();

  signals:
    void exportRequested();

  private:
    void refreshList();
    void refreshEditor();
    void store();

    Document* m_document;
    Notes* m_notes;
    QListWidget* m_list;
    QLabel* m_empty;
    ElidedLabel* m_title;
    QToolButton* m_whole;
    QPlainTextEdit* m_editor;
    QToolButton* m_export;
    std::optional<Place> m_place;
    bool m_storing = false;
};

} // namespace qkov::ui
