// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/PairsPage.h"

#include "document/CellPairs.h"
#include "document/Document.h"
#include "document/PairProfile.h"
#include "document/Words.h"
#include "pages/ConflictTable.h"
#include "pages/PairMatrix.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/FactList.h"
#include "widgets/SegmentedControl.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QSplitter>
#include <QTableWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <cmath>

namespace qkov::ui {

std::optional<Place> placeOf(const Document& document) {
    const auto s = document.selection()->state();
    const auto scores = document.scores();
    if (!scores || !s.cell) {
        return {};
    }
    const auto& h = scores->header();
    Place p;
    p.cell = {s.cell->block, LayerIndex(h.layers.at(static_cast<std::size_t>(s.cell->row))),
              HeadIndex(h.heads.at(static_cast<std::size_t>(s.cell->column)))};
    if (s.pair) {
        p.sampleA = quoted(h.samplesA.at(static_cast<std::size_t>(s.pair->i)).id);
        p.sampleB = quoted(h.samplesB.at(static_cast<std::size_t>(s.pair->j)).id);
    }
    return p;
}

bool goTo(Document& document, const Place& place) {
    const auto scores = document.scores();
    if (!scores) {
        return false;
    }
    const auto& h = scores->header();
    const auto find = [](const auto& in, const auto& test) {
        const auto it = std::find_if(in.begin(), in.end(), test);
        return it == in.end() ? -1 : static_cast<int>(it - in.begin());
    };
    const int row = find(h.layers, [&](auto l) { return l == place.cell.layer.value; });
    const int column = find(h.heads, [&](auto c) { return c == place.cell.head.value; });
    if (row < 0 || column < 0) {
        return false;
    }
    Selection::State s{CellRef{place.cell.block, row, column}, {}};
    if (place.isPair()) {
        const int i =
            find(h.samplesA, [&](const auto& x) { return quoted(x.id) == place.sampleA; });
        const int j =
            find(h.samplesB, [&](const auto& x) { return quoted(x.id) == place.sampleB; });
        if (i >= 0 && j >= 0) {
            s.pair = PairRef{i, j};
        }
    }
    document.selection()->set(s);
    return true;
}

PairsPage::PairsPage(Document* document, CellPairs* pairs, PairProfile* profile, Notes* notes,
                     QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_pairs(pairs)
    , m_profile(profile)
    , m_notes(notes)
    , m_matrix(new PairMatrix(document, pairs, this))
    , m_order(new SegmentedControl(this))
    , m_scope(new SegmentedControl(this))
    , m_table(new ConflictTable(document, ConflictModel::Scope::all, this))
    , m_title(new ElidedLabel(this))
    , m_pin(new QToolButton(this))
    , m_search(new QLineEdit(this))
    , m_found(new QLabel(this))
    , m_textA(new TextView(this))
    , m_textB(new TextView(this))
    , m_diagnostics(new FactList(this))
    , m_pinTable(new QTableWidget(this)) {
    setObjectName(QStringLiteral("pairsPage"));
    auto* upper = new QSplitter(Qt::Horizontal, this);
    upper->setObjectName(QStringLiteral("pairsUpper"));
    upper->setChildrenCollapsible(false);
    upper->setHandleWidth(12);
    upper->addWidget(buildMatrix());
    upper->addWidget(buildTable());
    upper->setStretchFactor(0, 2);
    upper->setStretchFactor(1, 3);
    upper->setSizes({400, 600});
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->setObjectName(QStringLiteral("pairsSplitter"));
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(12);
    splitter->addWidget(upper);
    splitter->addWidget(buildPair());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({300, 300});
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->addWidget(splitter);

    connect(document->selection(), &Selection::changed, this, &PairsPage::refreshPair);
    connect(document, &Document::scoresChanged, this, &PairsPage::refreshPair);
    connect(pairs, &CellPairs::changed, this, &PairsPage::refreshPair);
    connect(profile, &PairProfile::changed, this, &PairsPage::refreshProfile);
    connect(profile, &PairProfile::diagnosticsChanged, this, &PairsPage::refreshDiagnostics);
    connect(document->selection(), &Selection::cellChanged, this, &PairsPage::refreshProfile);
    connect(notes, &Notes::pinsChanged, this, &PairsPage::refreshPins);
    connect(document, &Document::scoresChanged, this, &PairsPage::refreshPins);
    refreshPair();
    refreshProfile();
    refreshDiagnostics();
    refreshPins();
}

QJsonObject PairsPage::viewState() const {
    static constexpr const char* orders[] = {"natural", "grouped", "seriated"};
    const bool cell = m_table->model()->scope() == ConflictModel::Scope::cell;
    return {{QStringLiteral("order"),
             QLatin1String(orders[static_cast<std::size_t>(m_matrix->order())])},
            {QStringLiteral("scope"), cell ? QStringLiteral("cell") : QStringLiteral("all")},
            {QStringLiteral("filter"), m_table->filterEdit()->text()}};
}

void PairsPage::setViewState(const QJsonObject& state) {
    const QString order = state.value(QStringLiteral("order")).toString();
    const auto chosen = order == QLatin1String("grouped")    ? PairMatrix::Order::grouped
                        : order == QLatin1String("seriated") ? PairMatrix::Order::seriated
                                                             : PairMatrix::Order::natural;
    m_order->setCurrent(static_cast<int>(chosen));
    m_matrix->setOrder(chosen);
    const auto scope = state.value(QStringLiteral("scope")).toString() == QLatin1String("cell")
                           ? ConflictModel::Scope::cell
                           : ConflictModel::Scope::all;
    m_scope->setCurrent(static_cast<int>(scope));
    m_table->model()->setScope(scope);
    m_table->filterEdit()->setText(state.value(QStringLiteral("filter")).toString());
}

QWidget* PairsPage::buildMatrix() {
    auto* card = new Card(tr("Sample × sample"), this);
    nameWidget(m_order, "matrixOrder", tr("Order of the samples"));
    m_order->addSegment(static_cast<int>(PairMatrix::Order::natural), tr("Stored"),
                        tr("Samples in the order of the dump"));
    m_order->addSegment(static_cast<int>(PairMatrix::Order::grouped), tr("Groups"),
                        tr("Samples of the same group side by side"));
    m_order->addSegment(static_cast<int>(PairMatrix::Order::seriated), tr("Alike"),
                        tr("Samples with alike scores side by side"));
    m_order->setCurrent(0);
    connect(m_order, &SegmentedControl::chosen, this,
            [this](int id) { m_matrix->setOrder(static_cast<PairMatrix::Order>(id)); });
    card->header()->addWidget(m_order);
    card->body()->addWidget(m_matrix, 1);
    card->setMinimumHeight(200);
    return card;
}

QWidget* PairsPage::buildTable() {
    auto* card = new Card(tr("Most conflicted pairs"), this);
    nameWidget(m_scope, "conflictScope", tr("Cells the table covers"));
    m_scope->addSegment(static_cast<int>(ConflictModel::Scope::all), tr("All cells"),
                        tr("Pairs of every block, layer and head"));
    m_scope->addSegment(static_cast<int>(ConflictModel::Scope::cell), tr("This cell"),
                        tr("Pairs of the selected cell"));
    m_scope->setCurrent(static_cast<int>(ConflictModel::Scope::all));
    connect(m_scope, &SegmentedControl::chosen, this,
            [this](int id) { m_table->model()->setScope(static_cast<ConflictModel::Scope>(id)); });
    card->header()->addWidget(m_scope);
    m_table->setColumns({ConflictModel::BlockColumn, ConflictModel::LayerColumn,
                         ConflictModel::HeadColumn, ConflictModel::SampleA, ConflictModel::SampleB,
                         ConflictModel::GroupA, ConflictModel::GroupB, ConflictModel::Score});
    card->body()->addWidget(m_table, 1);
    card->setMinimumHeight(200);
    return card;
}

QWidget* PairsPage::buildPair() {
    auto* card = new Card({}, this);
    setTextSize(m_title, TextSize::body, true);
    m_title->setObjectName(QStringLiteral("pairsTitle"));
    nameWidget(m_search, "textSearch", tr("Search in both texts"));
    m_search->setPlaceholderText(tr("Search in both texts"));
    m_search->setClearButtonEnabled(true);
    m_search->setMaximumWidth(240);
    m_search->setMinimumWidth(190);
    connect(m_search, &QLineEdit::textChanged, this, &PairsPage::search);
    setTextSize(m_found, TextSize::small);
    setMuted(m_found);
    nameWidget(m_pin, "pinPair", tr("Pin this pair to compare it"));
    m_pin->setText(tr("Pin"));
    m_pin->setToolTip(tr("Keep this pair for comparison, up to four"));
    setIconName(m_pin, QStringLiteral("pin"));
    m_pin->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    connect(m_pin, &QToolButton::clicked, this, [this] {
        if (const auto p = placeOf(*m_document)) {
            m_notes->pinned(*p) ? m_notes->unpin(*p) : m_notes->pin(*p);
        }
    });
    auto* head = new QHBoxLayout;
    head->addWidget(m_title, 1);
    head->addWidget(m_found);
    head->addWidget(m_search);
    head->addWidget(m_pin);
    card->body()->addLayout(head);

    m_textA->setObjectName(QStringLiteral("pairTextA"));
    m_textB->setObjectName(QStringLiteral("pairTextB"));
    auto* middle = new QWidget(card);
    auto* middleColumn = new QVBoxLayout(middle);
    middleColumn->setContentsMargins(0, 0, 0, 0);
    middleColumn->setSpacing(4);
    auto* profileTitle = new QLabel(tr("This pair in every cell"), middle);
    setTextSize(profileTitle, TextSize::small);
    setMuted(profileTitle);
    middleColumn->addWidget(profileTitle);
    auto* grid = new QGridLayout;
    grid->setSpacing(4);
    for (const Block b : allBlocks) {
        const auto k = blockIndex(b);
        auto* v = new HeatmapView(middle);
        m_profileViews[k] = v;
        nameWidget(v, qPrintable(QStringLiteral("profile") + QLatin1Char(blockName(b))),
                   tr("This pair's scores in block %1").arg(QLatin1Char(blockName(b))));
        v->setAxisTitlesVisible(false);
        v->setMarksVisible(false);
        v->setSquareCells(false); // all four of one shape
        v->setToolTipProvider([this, b](int row, int column) -> QString {
            if (!m_profile->scores()) {
                return {};
            }
            return QStringLiteral("<b>%1</b> &nbsp; %2")
                .arg(cellName(m_profile->scores()->header(), {b, row, column}),
                     number(m_profileViews[blockIndex(b)]->data().value(row, column)));
        });
        connect(v, &HeatmapView::hovered, this, [this](int row, int column) {
            for (auto* other : m_profileViews) {
                other->setCrosshair(CellPosition{row, column});
            }
        });
        connect(v, &HeatmapView::left, this, [this] {
            for (auto* other : m_profileViews) {
                other->setCrosshair({});
            }
        });
        connect(v, qOverload<int, int>(&HeatmapView::selected), this,
                [this, b](int row, int column) {
                    const auto s = m_document->selection()->state();
                    m_document->selection()->set({CellRef{b, row, column}, s.pair});
                });
        grid->addWidget(v, static_cast<int>(k / 2), static_cast<int>(k % 2));
    }
    for (int i = 0; i < 2; ++i) { // four maps of one size
        grid->setRowStretch(i, 1);
        grid->setColumnStretch(i, 1);
    }
    middleColumn->addLayout(grid, 1);
    m_diagnostics->setObjectName(QStringLiteral("pairDiagnostics"));
    auto* right = new QWidget(card);
    auto* rightColumn = new QVBoxLayout(right);
    rightColumn->setContentsMargins(0, 0, 0, 0);
    rightColumn->addWidget(m_diagnostics);
    rightColumn->addStretch(1);
    right->setMinimumWidth(170);

    auto* splitter = new QSplitter(Qt::Horizontal, card);
    splitter->setObjectName(QStringLiteral("pairsTexts"));
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(12);
    splitter->addWidget(m_textA);
    splitter->addWidget(middle);
    splitter->addWidget(m_textB);
    splitter->addWidget(right);
    splitter->setStretchFactor(0, 4);
    splitter->setStretchFactor(1, 4);
    splitter->setStretchFactor(2, 4);
    splitter->setStretchFactor(3, 2);
    card->body()->addWidget(splitter, 1);

    nameWidget(m_pinTable, "pinnedPairs", tr("Pinned pairs"));
    m_pinTable->setColumnCount(7);
    m_pinTable->setHorizontalHeaderLabels({tr("Pinned pair"), tr("Cell"), QStringLiteral("Q"),
                                           QStringLiteral("K"), QStringLiteral("V"),
                                           QStringLiteral("O"), QString()});
    m_pinTable->verticalHeader()->hide();
    m_pinTable->setShowGrid(false);
    m_pinTable->setSelectionMode(QAbstractItemView::NoSelection);
    m_pinTable->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_pinTable->setTabKeyNavigation(false);
    m_pinTable->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    m_pinTable->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    m_pinTable->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    for (int c = 0; c < 6; ++c) {
        m_pinTable->horizontalHeaderItem(c)->setTextAlignment(
            (c < 2 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
    }
    m_pinTable->setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_pinTable->setToolTip(tr("Double click goes there"));
    connect(m_pinTable, &QTableWidget::cellActivated, this, [this](int row) {
        if (static_cast<std::size_t>(row) < m_notes->pins().size()) {
            goTo(*m_document, m_notes->pins()[static_cast<std::size_t>(row)]);
        }
    });
    m_pinArea = m_pinTable;
    card->body()->addWidget(m_pinTable);
    m_pairCard = card;
    return card;
}

void PairsPage::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    m_profile->setActive(true);
}

void PairsPage::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    m_profile->setActive(false);
}

void PairsPage::refreshPair() {
    const auto s = m_document->selection()->state();
    const auto scores = m_document->scores();
    const bool has = scores && s.cell && s.pair &&
                     static_cast<std::size_t>(s.pair->i) < scores->header().nA() &&
                     static_cast<std::size_t>(s.pair->j) < scores->header().nB();
    m_pin->setEnabled(has);
    if (!has) {
        m_title->setFullText(tr("Select a pair in the table or the matrix"));
        m_textA->clear({});
        m_textB->clear({});
        return;
    }
    const auto& h = scores->header();
    const auto& a = h.samplesA[static_cast<std::size_t>(s.pair->i)];
    const auto& b = h.samplesB[static_cast<std::size_t>(s.pair->j)];
    QString title =
        QStringLiteral("%1 × %2 in %3").arg(quoted(a.id), quoted(b.id), cellName(h, *s.cell));
    if (m_pairs->cell()) {
        title += QStringLiteral(" · %1").arg(number(m_pairs->score(s.cell->block, *s.pair)));
    }
    m_title->setFullText(title);
    const auto place = placeOf(*m_document);
    const bool pinned = place && m_notes->pinned(*place);
    m_pin->setText(pinned ? tr("Unpin") : tr("Pin"));
    m_textA->setSample(quoted(h.taskA), a);
    m_textB->setSample(quoted(h.taskB), b);
    search(m_search->text());
}

void PairsPage::refreshProfile() {
    const auto& scores = m_profile->scores();
    std::vector<HeatmapData> maps;
    std::vector<std::span<const double>> all;
    if (!scores || m_profile->values(Block::Q).empty()) {
        for (auto* v : m_profileViews) {
            v->setData({});
        }
        return;
    }
    for (const Block b : allBlocks) {
        auto map = blockHeatmap(*scores, b, m_profile->values(b));
        map.marks.clear();
        maps.push_back(std::move(map));
    }
    for (const auto& map : maps) {
        all.emplace_back(map.values);
    }
    const ColorMap colors = isSigned(scores->header()) ? ColorMap::Id::vik : ColorMap::Id::viridis;
    RangeOptions options;
    options.centred = colors.diverging();
    const auto scale = ColorScale::fit(colors, all, options);
    const auto cell = m_document->selection()->cell();
    for (const Block b : allBlocks) {
        auto* v = m_profileViews[blockIndex(b)];
        v->setScale(scale);
        v->setData(std::move(maps[blockIndex(b)]));
        v->setSelected(cell && cell->block == b
                           ? std::optional(CellPosition{cell->row, cell->column})
                           : std::nullopt);
    }
}

void PairsPage::refreshDiagnostics() {
    const auto cell = m_document->selection()->cell();
    const auto& d = m_profile->diagnostics();
    if (!d || !cell) {
        m_diagnostics->setFacts({{tr("Details"), m_profile->diagnosticsProblem()}});
        return;
    }
    const auto& b = d->blocks[blockIndex(cell->block)];
    if (!d->present[blockIndex(cell->block)]) {
        m_diagnostics->setFacts({{tr("Details"), tr("missing in this dump")}});
        return;
    }
    const auto percent = [](double share) {
        return std::isnan(share) ? QStringLiteral("–")
                                 : QStringLiteral("%1%").arg(number(share * 100));
    };
    m_diagnostics->setFacts(
        {{tr("Score"), number(b.score), QString::number(b.score, 'g', 12)},
         {tr("Parameters"), count(b.parameters)},
         {tr("Size of A"), number(b.normI), tr("Norm of A's gradient in this slice")},
         {tr("Size of B"), number(b.normJ), tr("Norm of B's gradient in this slice")},
         {tr("Cosine"), number(b.cosine), tr("Between the two gradients: below 0 they pull apart")},
         {tr("Same sign"), percent(b.signAgreement),
          tr("Share of parameters that both move the same way")},
         {tr("Top 1%"), percent(b.topShare),
          tr("Share of the score that the top 1% of parameters carry")},
         {tr("Fisher"), fisherWords(b.fisher).section(QStringLiteral(" ("), 0, 0),
          fisherWords(b.fisher)}});
}

void PairsPage::refreshPins() {
    const auto& pins = m_notes->pins();
    m_pinTable->setRowCount(static_cast<int>(pins.size()));
    m_pinArea->setVisible(!pins.empty());
    refreshPair();
    const auto scores = m_document->scores();
    for (std::size_t r = 0; r < pins.size(); ++r) {
        const Place& p = pins[r];
        const int row = static_cast<int>(r);
        Place cellOnly = p;
        cellOnly.sampleA.clear();
        const auto put = [&](int column, const QString& text, bool right) {
            auto* item = new QTableWidgetItem(text);
            item->setTextAlignment(right ? Qt::AlignRight | Qt::AlignVCenter
                                         : Qt::AlignLeft | Qt::AlignVCenter);
            m_pinTable->setItem(row, column, item);
        };
        put(0, QStringLiteral("%1 × %2").arg(p.sampleA, p.sampleB), false);
        put(1, cellOnly.text(), false);
        for (int k = 0; k < 4; ++k) {
            QString value = QStringLiteral("–");
            if (scores) {
                const auto& h = scores->header();
                const auto at = [](const auto& in, const auto& test) {
                    return static_cast<std::size_t>(std::find_if(in.begin(), in.end(), test) -
                                                    in.begin());
                };
                const auto l = at(h.layers, [&](auto x) { return x == p.cell.layer.value; });
                const auto c = at(h.heads, [&](auto x) { return x == p.cell.head.value; });
                const auto i =
                    at(h.samplesA, [&](const auto& x) { return quoted(x.id) == p.sampleA; });
                const auto j =
                    at(h.samplesB, [&](const auto& x) { return quoted(x.id) == p.sampleB; });
                if (l < h.layers.size() && c < h.heads.size() && i < h.nA() && j < h.nB() &&
                    scores->computed(l)) {
                    const auto all = scores->pairs(allBlocks[static_cast<std::size_t>(k)], l, c);
                    if (!all.empty()) {
                        value = number(static_cast<double>(all[i * h.nB() + j]));
                    }
                }
            }
            put(2 + k, value, true);
        }
        auto* remove = new QToolButton(m_pinTable);
        setIconName(remove, QStringLiteral("close"));
        remove->setToolTip(tr("Unpin"));
        remove->setAccessibleName(tr("Unpin %1").arg(p.text()));
        remove->setIconSize(QSize(14, 14));
        connect(remove, &QToolButton::clicked, this, [this, p] { m_notes->unpin(p); });
        m_pinTable->setCellWidget(row, 6, remove);
    }
    const int height =
        m_pinTable->horizontalHeader()->sizeHint().height() +
        static_cast<int>(pins.size()) * m_pinTable->verticalHeader()->defaultSectionSize() + 4;
    m_pinTable->setFixedHeight(height);
    m_pairCard->setMinimumHeight(pins.empty() ? 220 : 262 + height);
}

void PairsPage::search(const QString& words) {
    const int n = m_textA->highlight(words) + m_textB->highlight(words);
    m_found->setText(words.isEmpty() ? QString() : n == 1 ? tr("1 place") : tr("%1 places").arg(n));
}

} // namespace qkov::ui
