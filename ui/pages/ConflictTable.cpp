// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/ConflictTable.h"

#include "document/Document.h"
#include "document/Words.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QHeaderView>
#include <QLineEdit>
#include <QTableView>
#include <QTimer>
#include <QVBoxLayout>

namespace qkov::ui {

ConflictTable::ConflictTable(Document* document, ConflictModel::Scope scope, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_model(new ConflictModel(document, scope, this))
    , m_filter(new QLineEdit(this))
    , m_view(new QTableView(this))
    , m_summary(new ElidedLabel(this))
    , m_typing(new QTimer(this)) {
    nameWidget(m_filter, "conflictFilter", tr("Filter of the conflict table"));
    m_filter->setPlaceholderText(scope == ConflictModel::Scope::all
                                     ? tr("Filter, e.g. layer:3 block:O id:math")
                                     : tr("Filter, e.g. id:math group:add"));
    m_filter->setToolTip(
        tr("Words are searched in ids and groups. Terms: layer:3-5, head:2, block:QO, "
           "type:induction, id:, a:, b:, group:, text:, score:>0.5"));
    m_filter->setClearButtonEnabled(true);
    nameWidget(m_view, "conflictTable", tr("Most conflicted pairs"));
    m_view->setModel(m_model);
    m_view->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_view->setSelectionMode(QAbstractItemView::SingleSelection);
    m_view->setShowGrid(false);
    m_view->setWordWrap(false);
    m_view->setTabKeyNavigation(false);
    m_view->setSortingEnabled(true);
    m_view->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_view->verticalHeader()->hide();
    m_view->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    m_view->verticalHeader()->setMinimumSectionSize(18);
    m_view->verticalHeader()->setDefaultSectionSize(m_view->fontMetrics().height() + 7);
    m_view->horizontalHeader()->setHighlightSections(false);
    m_view->horizontalHeader()->setMinimumSectionSize(36);
    m_view->horizontalHeader()->setTextElideMode(Qt::ElideRight);
    m_view->horizontalHeader()->setSortIndicator(ConflictModel::Score, Qt::DescendingOrder);
    setTextSize(m_summary, TextSize::small);
    setMuted(m_summary);
    m_summary->setObjectName(QStringLiteral("conflictSummary"));

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(6);
    column->addWidget(m_filter);
    column->addWidget(m_view, 1);
    column->addWidget(m_summary);

    m_typing->setSingleShot(true);
    m_typing->setInterval(120);
    connect(m_filter, &QLineEdit::textChanged, m_typing, qOverload<>(&QTimer::start));
    connect(m_typing, &QTimer::timeout, this, [this] {
        m_model->setFilter(m_filter->text());
        refreshSummary();
    });
    connect(m_model, &ConflictModel::refreshed, this, [this] {
        followSelection();
        refreshSummary();
    });
    connect(m_model, &ConflictModel::loadingChanged, this, &ConflictTable::refreshSummary);
    connect(m_view->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
            [this](const QModelIndex& current) {
                if (!m_following && current.isValid()) {
                    m_following = true;
                    m_document->selection()->set(m_model->stateAt(current.row()));
                    m_following = false;
                }
            });
    connect(document->selection(), &Selection::changed, this, &ConflictTable::followSelection);
    refreshSummary();
}

void ConflictTable::setColumns(const QList<int>& columns) {
    auto* header = m_view->horizontalHeader();
    for (int c = 0; c < ConflictModel::columns; ++c) {
        m_view->setColumnHidden(c, !columns.contains(c));
        const bool narrow = c == ConflictModel::BlockColumn || c == ConflictModel::LayerColumn ||
                            c == ConflictModel::HeadColumn;
        header->setSectionResizeMode(c, narrow || c == ConflictModel::Score
                                            ? QHeaderView::Interactive
                                            : QHeaderView::Stretch);
        if (narrow) {
            header->resizeSection(
                c, m_view->fontMetrics().horizontalAdvance(QStringLiteral("Layer")) + 22);
        }
    }
    header->resizeSection(ConflictModel::Score,
                          m_view->fontMetrics().horizontalAdvance(QStringLiteral("1.23e-07")) + 24);
}

void ConflictTable::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    m_model->setActive(true);
}

void ConflictTable::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    m_model->setActive(false);
}

void ConflictTable::refreshSummary() {
    QString text = m_model->summary();
    if (m_model->loading()) {
        text += text.isEmpty() ? tr("Searching…") : tr(" · searching…");
    }
    if (!m_model->filter().problems().isEmpty()) {
        text =
            tr("Not understood: %1").arg(m_model->filter().problems().join(QStringLiteral(", ")));
    }
    m_summary->setFullText(text);
}

void ConflictTable::followSelection() {
    if (m_following) {
        return;
    }
    m_following = true;
    const int row = m_model->rowOf(m_document->selection()->state());
    if (row < 0) {
        m_view->selectionModel()->clear();
    } else if (m_view->currentIndex().row() != row || !m_view->selectionModel()->hasSelection()) {
        const auto index = m_model->index(row, ConflictModel::SampleA);
        m_view->selectionModel()->setCurrentIndex(index, QItemSelectionModel::ClearAndSelect |
                                                             QItemSelectionModel::Rows);
        m_view->scrollTo(index);
    }
    m_following = false;
}

} // namespace qkov::ui
