// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/NotesPage.h"

#include "document/Document.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "pages/PairsPage.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QLabel>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QSplitter>
#include <QToolButton>
#include <QVBoxLayout>

namespace qkov::ui {

NotesPage::NotesPage(Document* document, Notes* notes, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_notes(notes)
    , m_list(new QListWidget(this))
    , m_empty(
          new QLabel(tr("No notes yet.\n\nSelect a cell or a pair and write beside it. Notes are "
                        "kept with the session and exported as Markdown."),
                     this))
    , m_title(new ElidedLabel(this))
    , m_whole(new QToolButton(this))
    , m_editor(new QPlainTextEdit(this))
    , m_export(new QToolButton(this)) {
    setObjectName(QStringLiteral("notesPage"));
    auto* listCard = new Card(tr("Notes"), this);
    nameWidget(m_list, "noteList", tr("Notes"));
    m_list->setFrameShape(QFrame::NoFrame);
    m_list->setWordWrap(true);
    listCard->body()->addWidget(m_list, 1);
    setMuted(m_empty);
    m_empty->setObjectName(QStringLiteral("notesEmpty"));
    m_empty->setWordWrap(true);
    m_empty->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    listCard->body()->addWidget(m_empty, 1);
    nameWidget(m_export, "exportNotes", tr("Export the notes"));
    m_export->setText(tr("Export"));
    m_export->setToolTip(tr("Write the notes as Markdown"));
    setIconName(m_export, QStringLiteral("export"));
    m_export->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    connect(m_export, &QToolButton::clicked, this, &NotesPage::exportRequested);
    listCard->header()->addWidget(m_export);
    listCard->setMinimumWidth(260);

    auto* editCard = new Card({}, this);
    setTextSize(m_title, TextSize::body, true);
    m_title->setObjectName(QStringLiteral("noteTitle"));
    nameWidget(m_whole, "noteWholeCell", tr("Write about the cell as a whole"));
    m_whole->setText(tr("About the whole cell"));
    m_whole->setToolTip(tr("Write about the cell as a whole, not about the pair"));
    m_whole->setCheckable(true);
    m_whole->setProperty("toggle", true);
    connect(m_whole, &QToolButton::toggled, this, &NotesPage::refreshEditor);
    auto* head = new QHBoxLayout;
    head->addWidget(m_title, 1);
    head->addWidget(m_whole);
    editCard->body()->addLayout(head);
    nameWidget(m_editor, "noteEditor", tr("Note on the selection"));
    m_editor->setTabChangesFocus(true);
    editCard->body()->addWidget(m_editor, 1);
    editCard->setMinimumWidth(280);

    auto* splitter = new QSplitter(Qt::Horizontal, this);
    splitter->setObjectName(QStringLiteral("notesSplitter"));
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(12);
    splitter->addWidget(listCard);
    splitter->addWidget(editCard);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->addWidget(splitter);

    connect(m_editor, &QPlainTextEdit::textChanged, this, &NotesPage::store);
    connect(notes, &Notes::notesChanged, this, &NotesPage::refreshList);
    connect(notes, &Notes::notesChanged, this, &NotesPage::refreshEditor);
    connect(document->selection(), &Selection::changed, this, &NotesPage::refreshEditor);
    connect(document, &Document::scoresChanged, this, &NotesPage::refreshEditor);
    connect(m_list, &QListWidget::currentRowChanged, this, [this](int row) {
        if (row >= 0 && static_cast<std::size_t>(row) < m_notes->notes().size()) {
            const Place p = m_notes->notes()[static_cast<std::size_t>(row)].place;
            m_whole->setChecked(!p.isPair());
            goTo(*m_document, p);
        }
    });
    refreshList();
    refreshEditor();
}

void NotesPage::edit() {
    m_editor->setFocus();
}

void NotesPage::refreshList() {
    const QSignalBlocker quiet(m_list);
    m_list->clear();
    for (const Note& n : m_notes->notes()) {
        m_list->addItem(n.place.text() + QLatin1Char('\n') +
                        n.text.trimmed().section(QLatin1Char('\n'), 0, 0));
    }
    const bool some = !m_notes->notes().empty();
    m_export->setEnabled(some);
    m_list->setVisible(some);
    m_empty->setVisible(!some);
}

void NotesPage::refreshEditor() {
    if (m_storing) {
        return;
    }
    m_place = placeOf(*m_document);
    if (m_place && m_whole->isChecked()) {
        m_place->sampleA.clear();
        m_place->sampleB.clear();
    }
    const QSignalBlocker quiet(m_editor);
    m_editor->setEnabled(m_place.has_value());
    m_whole->setEnabled(m_place.has_value());
    m_title->setFullText(m_place ? m_place->text() : tr("Nothing is selected"));
    m_editor->setPlaceholderText(m_place
                                     ? tr("Write what you see here. It is kept with the session.")
                                     : tr("Select a cell of a map to write about it"));
    const QString text = m_place ? m_notes->textAt(*m_place) : QString();
    if (text != m_editor->toPlainText()) {
        m_editor->setPlainText(text);
    }
}

void NotesPage::store() {
    if (m_place) {
        m_storing = true;
        m_notes->setText(*m_place, m_editor->toPlainText());
        m_storing = false;
    }
}

} // namespace qkov::ui
