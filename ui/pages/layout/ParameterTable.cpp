// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/layout/ParameterTable.h"

#include "models/LayoutModel.h"
#include "widgets/SegmentedControl.h"
#include "widgets/Theme.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>

namespace qkov::ui {

ParameterTable::ParameterTable(LayoutModel* model, QWidget* parent)
    : QWidget(parent)
    , m_filter(new LayoutFilter(this))
    , m_view(new QTableView(this)) {
    m_filter->setSourceModel(model);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(8);
    auto* search = new QLineEdit(this);
    search->setPlaceholderText(tr("Search names, shapes, blocks"));
    search->setClearButtonEnabled(true);
    nameWidget(search, "layoutSearch", tr("Search the parameters"));
    connect(search, &QLineEdit::textChanged, m_filter, &LayoutFilter::setWords);
    auto* which = new SegmentedControl(this);
    nameWidget(which, "layoutWhich", tr("Which parameters are listed"));
    which->addSegment(LayoutFilter::all, tr("All"));
    which->addSegment(LayoutFilter::assigned, tr("Assigned"));
    which->addSegment(LayoutFilter::unassigned, tr("Others"));
    which->addSegment(LayoutFilter::wrong, tr("Wrong"), tr("Assigned, but with another shape"));
    which->setCurrent(LayoutFilter::all);
    connect(which, &SegmentedControl::chosen, this,
            [this](int id) { m_filter->setWhich(static_cast<LayoutFilter::Which>(id)); });
    auto* line = new QHBoxLayout;
    line->setSpacing(8);
    line->addWidget(search, 1);
    line->addWidget(which);
    column->addLayout(line);

    nameWidget(m_view, "layoutParameters", tr("Parameters"));
    m_view->setModel(m_filter);
    m_view->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_view->setSelectionMode(QAbstractItemView::SingleSelection);
    m_view->setShowGrid(false);
    m_view->setWordWrap(false);
    m_view->setTextElideMode(Qt::ElideMiddle);
    m_view->setTabKeyNavigation(false);
    m_view->verticalHeader()->hide();
    m_view->verticalHeader()->setDefaultSectionSize(m_view->fontMetrics().height() + 8);
    m_view->horizontalHeader()->setHighlightSections(false);
    m_view->horizontalHeader()->setSectionResizeMode(LayoutModel::Name, QHeaderView::Stretch);
    m_view->horizontalHeader()->resizeSection(LayoutModel::Shape, 96);
    m_view->horizontalHeader()->resizeSection(LayoutModel::Use, 172);
    column->addWidget(m_view, 1);

    auto* take = new QHBoxLayout;
    take->setSpacing(8);
    auto* label = new QLabel(tr("Take the selected name, in every layer, for"), this);
    setMuted(label);
    take->addWidget(label);
    for (const Block b : allBlocks) {
        const QString letter(QLatin1Char(blockName(b)));
        auto* button = new QPushButton(QStringLiteral("&") + letter, this);
        button->setAutoDefault(false);
        button->setFixedWidth(44);
        nameWidget(button, qPrintable(QStringLiteral("layoutTake") + letter),
                   tr("Take the selected parameter for %1").arg(letter));
        connect(button, &QPushButton::clicked, this, [this, b] { emit taken(b); });
        take->addWidget(button);
        m_assign[blockIndex(b)] = button;
    }
    take->addStretch(1);
    column->addLayout(take);
    const auto selected = [this] {
        for (QPushButton* b : m_assign) {
            b->setEnabled(m_view->currentIndex().isValid());
        }
    };
    connect(m_view->selectionModel(), &QItemSelectionModel::currentChanged, this, selected);
    selected();
}

std::optional<std::size_t> ParameterTable::currentParameter() const {
    const QModelIndex at = m_filter->mapToSource(m_view->currentIndex());
    return at.isValid() ? std::optional(static_cast<std::size_t>(at.row())) : std::nullopt;
}

} // namespace qkov::ui
