// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/SelectionPanel.h"

#include "base/Numbers.h"
#include "document/CellPairs.h"
#include "document/Document.h"
#include "document/MapValues.h"
#include "document/Words.h"
#include "pages/ConflictTable.h"
#include "pages/PairMatrix.h"
#include "results/Summary.h"
#include "widgets/BlockBars.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/FactList.h"
#include "widgets/SegmentedControl.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QLabel>
#include <QScrollArea>
#include <QSplitter>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <cmath>

namespace qkov::ui {

SelectionPanel::SelectionPanel(Document* document, MapValues* values, CellPairs* pairs,
                               QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_values(values)
    , m_pairs(pairs)
    , m_stack(new QStackedWidget(this))
    , m_title(new ElidedLabel(this))
    , m_subtitle(new QLabel(this))
    , m_facts(new FactList(this))
    , m_view(new SegmentedControl(this))
    , m_matrix(new PairMatrix(document, pairs, this))
    , m_table(new ConflictTable(document, ConflictModel::Scope::cell, this))
    , m_pairTitle(new ElidedLabel(this))
    , m_hold(new QToolButton(this))
    , m_pairBars(new BlockBars(this))
    , m_textA(new TextView(this))
    , m_textB(new TextView(this)) {
    m_stack->addWidget(buildEmpty());
    m_stack->addWidget(buildCell());
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(m_stack);
    connect(document->selection(), &Selection::cellChanged, this, &SelectionPanel::refreshFacts);
    connect(document->selection(), &Selection::cellsChanged, this, &SelectionPanel::refreshFacts);
    connect(values, &MapValues::changed, this, &SelectionPanel::refreshFacts);
    connect(document->selection(), &Selection::pairChanged, this, &SelectionPanel::refreshPair);
    connect(document, &Document::scoresChanged, this, &SelectionPanel::refreshPair);
    connect(pairs, &CellPairs::changed, this, &SelectionPanel::refreshPair);
    refreshFacts();
    refreshPair();
}

QWidget* SelectionPanel::buildEmpty() {
    auto* w = new QWidget(this);
    auto* hint =
        new QLabel(tr("Nothing is selected.\n\nClick a cell of a map, or move with the arrow "
                      "keys, to see its sample pairs and their texts here."),
                   w);
    hint->setObjectName(QStringLiteral("selectionHint"));
    hint->setWordWrap(true);
    hint->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    setMuted(hint);
    auto* column = new QVBoxLayout(w);
    column->setContentsMargins(12, 8, 12, 12);
    column->addWidget(hint);
    column->addStretch(1);
    return w;
}

QWidget* SelectionPanel::buildCell() {
    auto* page = new QWidget(this);
    auto* column = new QVBoxLayout(page);
    column->setContentsMargins(0, 0, 12, 10);
    column->setSpacing(8);

    setTextSize(m_title, TextSize::large, true);
    m_title->setObjectName(QStringLiteral("cellTitle"));
    m_subtitle->setObjectName(QStringLiteral("cellType"));
    m_subtitle->setWordWrap(true);
    m_facts->setObjectName(QStringLiteral("cellFacts"));
    auto* head = new QWidget(page);
    auto* headColumn = new QVBoxLayout(head);
    headColumn->setContentsMargins(12, 0, 0, 0);
    headColumn->setSpacing(3);
    headColumn->addWidget(m_title);
    headColumn->addWidget(m_subtitle);
    headColumn->addWidget(m_facts);
    column->addWidget(head);

    // On a low window what lies below scrolls; the facts stay.
    auto* scroll = new QScrollArea(page);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    auto* splitter = new QSplitter(Qt::Vertical, scroll);
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(8);
    auto* pairsCard = new Card(tr("Pairs of this cell"), splitter);
    nameWidget(m_view, "pairsView", tr("How the pairs are shown"));
    m_view->addSegment(0, tr("List"), tr("The pairs of this cell, most conflicted first"));
    m_view->addSegment(1, tr("Matrix"),
                       tr("Every sample of one task against every one of the other"));
    m_view->setCurrent(0);
    connect(m_view, &SegmentedControl::chosen, this, &SelectionPanel::fitHeight);
    pairsCard->header()->addWidget(m_view);
    pairsCard->body()->addWidget(m_matrix, 3);
    pairsCard->body()->addWidget(m_table, 2);
    m_matrix->setMinimumHeight(110);
    m_table->setMinimumHeight(118);
    m_matrix->setCompact(true);
    m_table->setColumns({ConflictModel::SampleA, ConflictModel::SampleB, ConflictModel::Score});

    auto* pairCard = new Card({}, splitter);
    m_pairTitle->setObjectName(QStringLiteral("pairTitle"));
    setTextSize(m_pairTitle, TextSize::body, true);
    nameWidget(m_hold, "holdPair", tr("Keep this pair"));
    m_hold->setToolTip(tr("Keep this pair while walking over cells"));
    m_hold->setCheckable(true);
    setIconName(m_hold, QStringLiteral("pin"));
    connect(m_hold, &QToolButton::toggled, m_document->selection(), &Selection::holdPair);
    connect(m_document->selection(), &Selection::holdChanged, m_hold, &QToolButton::setChecked);
    auto* titleLine = new QHBoxLayout;
    titleLine->addWidget(m_pairTitle, 1);
    titleLine->addWidget(m_hold);
    pairCard->body()->addLayout(titleLine);
    nameWidget(m_pairBars, "pairBars", tr("The pair's score in the four blocks"));
    m_pairBars->setCompact(true);
    pairCard->body()->addWidget(m_pairBars);
    connect(m_pairBars, &BlockBars::clicked, this, [this](Block b) {
        const auto s = m_document->selection()->state();
        if (s.cell) {
            m_document->selection()->set({CellRef{b, s.cell->row, s.cell->column}, s.pair});
        }
    });
    m_textA->setObjectName(QStringLiteral("textA"));
    m_textB->setObjectName(QStringLiteral("textB"));
    auto* texts = new QSplitter(Qt::Horizontal, pairCard);
    texts->setChildrenCollapsible(false);
    texts->setHandleWidth(12);
    texts->addWidget(m_textA);
    texts->addWidget(m_textB);
    texts->setSizes({100, 100});
    pairCard->body()->addWidget(texts, 1);
    pairCard->body()->setSpacing(6);
    pairCard->setMinimumHeight(180);
    splitter->addWidget(pairsCard);
    splitter->addWidget(pairCard);
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({500, 400});
    scroll->setWidget(splitter);
    column->addWidget(scroll, 1);
    m_details = {scroll};
    return page;
}

void SelectionPanel::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    fitHeight();
}

/// Matrix and list together where there is room, else the one that is chosen: the texts stay in
/// sight.
void SelectionPanel::fitHeight() {
    const bool both = height() >= heightForBoth;
    m_view->setVisible(!both);
    m_matrix->setVisible(both || m_view->current() == 1);
    m_table->setVisible(both || m_view->current() == 0);
}

void SelectionPanel::setBrief(bool brief) {
    for (auto* w : m_details) {
        w->setVisible(!brief);
    }
}

void SelectionPanel::refreshFacts() {
    const auto cell = m_document->selection()->cell();
    const auto scores = m_values->scores();
    if (!cell || !scores || static_cast<std::size_t>(cell->row) >= scores->header().layers.size() ||
        static_cast<std::size_t>(cell->column) >= scores->header().heads.size()) {
        m_stack->setCurrentIndex(0);
        return;
    }
    m_stack->setCurrentIndex(1);
    const auto& h = scores->header();
    const auto row = static_cast<std::size_t>(cell->row);
    const auto column = static_cast<std::size_t>(cell->column);
    m_title->setFullText(cellName(h, *cell));
    const QString type = typeName(h, cell->row, cell->column);
    m_subtitle->setText(type.isEmpty() ? QString() : tr("%1 head").arg(type));
    m_subtitle->setVisible(!type.isEmpty());

    QList<FactList::Fact> facts;
    const double value = m_values->value(cell->block, cell->row, cell->column);
    const QString valueName =
        m_values->shownReduction() == results::Reduction::mean     ? tr("Mean score")
        : m_values->shownReduction() == results::Reduction::max    ? tr("Largest")
        : m_values->shownReduction() == results::Reduction::median ? tr("Median")
                                                                   : tr("95th percentile");
    if (!scores->computed(row)) {
        facts << FactList::Fact{tr("Score"), tr("not computed yet")};
    } else if (std::isnan(value)) {
        facts << FactList::Fact{tr("Score"), tr("missing: the dump has no usable data here")};
    } else {
        const auto rank = results::rankOf(*scores, cell->block, row, column);
        facts << FactList::Fact{valueName, number(value), QString::number(value, 'g', 9)};
        facts << FactList::Fact{tr("Rank"), tr("%1 of %2 cells")
                                                .arg(count(static_cast<std::int64_t>(rank.rank)),
                                                     count(static_cast<std::int64_t>(rank.of)))};
        const auto f = scores->health(cell->block, row, column);
        facts << FactList::Fact{
            tr("Fisher"), fisherWords(f),
            tr("min %1 · median %2 · max %3 · ridge %4")
                .arg(number(f.min), number(f.median), number(f.max), number(f.lambda))};
    }
    facts << FactList::Fact{tr("Shared"), kvSharing(h, *cell)};
    const auto& several = m_document->selection()->cells();
    if (!several.empty()) {
        double sum = 0;
        std::size_t n = 0;
        for (const auto& c : several) {
            const double v = m_values->value(c.block, c.row, c.column);
            if (!std::isnan(v)) {
                sum += v;
                ++n;
            }
        }
        facts << FactList::Fact{
            tr("Marked"),
            n > 0 ? tr("%1 cells, mean %2").arg(n).arg(number(sum / static_cast<double>(n)))
                  : tr("%1 cells").arg(several.size())};
    }
    m_facts->setFacts(facts);
}

void SelectionPanel::refreshPair() {
    const auto s = m_document->selection()->state();
    const auto scores = m_document->scores();
    if (!scores || !s.cell || !s.pair ||
        static_cast<std::size_t>(s.pair->i) >= scores->header().nA() ||
        static_cast<std::size_t>(s.pair->j) >= scores->header().nB()) {
        m_pairTitle->setFullText(tr("No pair is selected"));
        m_pairBars->clear();
        m_textA->clear(tr("Select a pair in the matrix or the table"));
        m_textB->clear({});
        return;
    }
    const auto& h = scores->header();
    const auto& a = h.samplesA[static_cast<std::size_t>(s.pair->i)];
    const auto& b = h.samplesB[static_cast<std::size_t>(s.pair->j)];
    if (m_pairs->cell()) {
        const double score = m_pairs->score(s.cell->block, *s.pair);
        m_pairTitle->setFullText(
            QStringLiteral("%1 × %2 · %3").arg(quoted(a.id), quoted(b.id), number(score)));
        std::array<double, 4> values{};
        for (const Block block : allBlocks) {
            values[blockIndex(block)] = m_pairs->score(block, *s.pair);
        }
        m_pairBars->setValues(values);
        m_pairBars->setEmphasis(s.cell->block);
    }
    m_textA->setSample(quoted(h.taskA), a);
    m_textB->setSample(quoted(h.taskB), b);
}

} // namespace qkov::ui
