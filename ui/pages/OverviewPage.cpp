// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/OverviewPage.h"

#include "document/Document.h"
#include "document/Words.h"
#include "results/Summary.h"
#include "widgets/BlockBars.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QActionGroup>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QSignalBlocker>
#include <QToolButton>
#include <QVBoxLayout>

namespace qkov::ui {

OverviewPage::OverviewPage(Document* document, MapValues* values, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_values(values)
    , m_headline(new ElidedLabel(this))
    , m_note(new ElidedLabel(this))
    , m_reduction(new QComboBox(this))
    , m_lookButton(new QToolButton(this))
    , m_lookMenu(new QMenu(this))
    , m_maps(new FourMaps(this))
    , m_startText(new QLabel(this))
    , m_barsTitle(new QLabel(tr("Block means"), this))
    , m_bars(new BlockBars(this))
    , m_legend(new ElidedLabel(this)) {
    buildControls();
    buildLookMenu();

    // The finding has the whole width; what it is from shares its line with the controls.
    auto* second = new QHBoxLayout;
    second->setSpacing(8);
    second->addWidget(m_note, 1);
    second->addWidget(m_reduction);
    second->addWidget(m_lookButton);
    auto* top = new QVBoxLayout;
    top->setSpacing(2);
    top->addWidget(m_headline);
    top->addLayout(second);
    auto* foot = new QHBoxLayout;
    foot->setSpacing(12);
    foot->addWidget(m_barsTitle);
    foot->addWidget(m_bars, 1);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->setSpacing(10);
    column->addLayout(top);
    column->addWidget(m_maps, 1);
    column->addWidget(buildStart(), 1);
    column->addWidget(m_legend);
    column->addLayout(foot);

    m_maps->setToolTipProvider([this](CellRef cell) { return toolTipOf(cell); });
    connect(m_maps, &FourMaps::selected, this,
            [this](CellRef cell) { m_document->selection()->setCell(cell); });
    connect(m_maps, &FourMaps::markedByUser, this, [this](std::vector<CellRef> cells) {
        m_document->selection()->setCells(std::move(cells));
    });
    connect(m_bars, &BlockBars::clicked, this, [this](Block block) {
        if (const auto cell = m_document->selection()->cell()) {
            m_document->selection()->setCell(CellRef{block, cell->row, cell->column});
        }
    });
    connect(m_values, &MapValues::changed, this, &OverviewPage::refresh);
    connect(document, &Document::stateChanged, this, [this] {
        if (!m_values->scores()) {
            refresh();
        }
    });
    connect(document, &Document::requestChanged, this, [this] {
        if (!m_values->scores()) {
            refresh();
        }
    });
    connect(document->selection(), &Selection::cellChanged, this, &OverviewPage::refreshSelection);
    connect(document->selection(), &Selection::cellsChanged, this, &OverviewPage::refreshSelection);
    refresh();
}

/// Before anything is computed: what Compute does, and the button.
QWidget* OverviewPage::buildStart() {
    m_startCard = new Card({}, this);
    auto* title = new QLabel(tr("Nothing computed yet"), m_startCard);
    setTextSize(title, TextSize::large, true);
    m_startText->setParent(m_startCard);
    m_startText->setWordWrap(true);
    m_startText->setAlignment(Qt::AlignHCenter | Qt::AlignTop);
    m_startText->setFixedWidth(400);
    setMuted(m_startText);
    auto* compute = new QPushButton(tr("Compute"), m_startCard);
    compute->setProperty("primary", true);
    setIconName(compute, QStringLiteral("play"));
    nameWidget(compute, "computeHere", tr("Compute"));
    connect(compute, &QPushButton::clicked, m_document, &Document::compute);
    auto* body = m_startCard->body();
    body->setSpacing(12);
    body->addStretch(2);
    body->addWidget(title, 0, Qt::AlignHCenter);
    body->addWidget(m_startText, 0, Qt::AlignHCenter);
    body->addWidget(compute, 0, Qt::AlignHCenter);
    body->addStretch(3);
    m_startCard->hide();
    return m_startCard;
}

void OverviewPage::showStart(bool start) {
    m_startCard->setVisible(start);
    m_maps->setVisible(!start);
    m_bars->setVisible(!start);
    m_barsTitle->setVisible(!start);
    m_reduction->setVisible(!start);
    m_lookButton->setVisible(!start);
}

void OverviewPage::buildControls() {
    setTextSize(m_headline, TextSize::large, true);
    m_headline->setObjectName(QStringLiteral("headline"));
    setTextSize(m_note, TextSize::small);
    setMuted(m_note);
    m_note->setObjectName(QStringLiteral("overviewNote"));
    setTextSize(m_legend, TextSize::small);
    setMuted(m_legend);
    m_legend->setObjectName(QStringLiteral("typeLegend"));
    setTextSize(m_barsTitle, TextSize::small);
    setMuted(m_barsTitle);
    m_bars->setCompact(true);
    nameWidget(m_bars, "blockMeans", tr("Block means"));
    nameWidget(m_reduction, "reduction", tr("What each cell shows"));
    m_reduction->setToolTip(tr("What each cell shows of its sample pairs"));
    using R = results::Reduction;
    m_reduction->addItem(tr("Mean of pairs"), static_cast<int>(R::mean));
    m_reduction->addItem(tr("Largest pair"), static_cast<int>(R::max));
    m_reduction->addItem(tr("Median pair"), static_cast<int>(R::median));
    m_reduction->addItem(tr("95th percentile"), static_cast<int>(R::percentile95));
    connect(m_reduction, &QComboBox::activated, this,
            [this] { m_values->setReduction(static_cast<R>(m_reduction->currentData().toInt())); });
    nameWidget(m_lookButton, "look", tr("Look of the maps"));
    m_lookButton->setText(tr("View"));
    m_lookButton->setToolTip(tr("Colours, range and marks of the maps"));
    setIconName(m_lookButton, QStringLiteral("settings"));
    m_lookButton->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_lookButton->setPopupMode(QToolButton::InstantPopup);
    m_lookButton->setMenu(m_lookMenu);
    m_lookButton->setFocusPolicy(Qt::StrongFocus);
}

void OverviewPage::buildLookMenu() {
    m_lookMenu->setTitle(tr("Look of the &maps"));
    const auto toggle = [this](const QString& text, const char* name, bool on, auto apply) {
        auto* a = m_lookMenu->addAction(text);
        a->setCheckable(true);
        a->setChecked(on);
        a->setObjectName(QLatin1String(name));
        connect(a, &QAction::toggled, this, [this, apply](bool checked) {
            auto look = m_maps->look();
            apply(look, checked);
            setLook(look);
        });
        return a;
    };
    using L = FourMaps::Look;
    using K = RangeOptions::Kind;
    toggle(tr("&One colour range for all blocks"), "lookShared", true, [](L& l, bool on) {
        l.sharedRange = on;
    })->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_R));
    toggle(tr("&Robust range (2nd to 98th percentile)"), "lookRobust", false,
           [](L& l, bool on) { l.range.kind = on ? K::robust : K::data; });
    toggle(tr("&Log scale"), "lookLog", false, [](L& l, bool on) { l.range.log = on; });
    toggle(tr("Log scale on &both sides of 0"), "lookSymlog", false,
           [](L& l, bool on) { l.range.symlog = on; });
    m_lookMenu->addSeparator();
    toggle(tr("&Marks of head types"), "lookMarks", true, [](L& l, bool on) { l.marks = on; });
    toggle(tr("Means per layer and &head"), "lookMargins", false,
           [](L& l, bool on) { l.margins = on; });
    toggle(tr("Layer 0 at the bo&ttom"), "lookBottom", false,
           [](L& l, bool on) { l.layerZeroAtTop = !on; });
    auto* heads = m_lookMenu->addMenu(tr("&Order of heads"));
    auto* order = new QActionGroup(this);
    const auto sortBy = [&](const QString& text, HeadSort sort, const char* name) {
        auto* a = heads->addAction(text);
        a->setObjectName(QLatin1String(name));
        a->setCheckable(true);
        a->setChecked(sort == HeadSort::number);
        order->addAction(a);
        connect(a, &QAction::triggered, this, [this, sort] {
            auto look = m_maps->look();
            look.sort = sort;
            setLook(look);
        });
    };
    sortBy(tr("By &number"), HeadSort::number, "lookSortNumber");
    sortBy(tr("By &value, in each layer"), HeadSort::value, "lookSortValue");
    sortBy(tr("By &type, in each layer"), HeadSort::type, "lookSortType");
    m_lookMenu->addSeparator();
    auto* maps = m_lookMenu->addMenu(tr("&Colour map"));
    auto* group = new QActionGroup(this);
    const auto choose = [&](const QString& text, std::optional<ColorMap> map) {
        auto* a = maps->addAction(text);
        a->setObjectName(QStringLiteral("lookMap-") + (map ? map->name() : QString()));
        a->setCheckable(true);
        a->setChecked(!map);
        group->addAction(a);
        connect(a, &QAction::triggered, this, [this, map] {
            auto look = m_maps->look();
            look.map = map;
            setLook(look);
        });
    };
    choose(tr("Automatic"), {});
    for (const auto id : ColorMap::all) {
        choose(ColorMap(id).name(), ColorMap(id));
    }
    auto* reset = m_lookMenu->addAction(tr("Show &all cells"));
    reset->setShortcut(QKeySequence(Qt::Key_0));
    connect(reset, &QAction::triggered, this, [this] {
        for (const Block b : allBlocks) {
            m_maps->view(b)->resetView();
        }
    });
}

void OverviewPage::setLook(const FourMaps::Look& look) {
    m_maps->setLook(look);
    refreshLegend();
    refreshLookMenu();
    emit lookChanged();
}

void OverviewPage::refreshLookMenu() {
    const FourMaps::Look& look = m_maps->look();
    const QString sort = look.sort == HeadSort::value  ? QStringLiteral("lookSortValue")
                         : look.sort == HeadSort::type ? QStringLiteral("lookSortType")
                                                       : QStringLiteral("lookSortNumber");
    const std::pair<QString, bool> states[] = {
        {QStringLiteral("lookShared"), look.sharedRange},
        {QStringLiteral("lookRobust"), look.range.kind == RangeOptions::Kind::robust},
        {QStringLiteral("lookLog"), look.range.log},
        {QStringLiteral("lookSymlog"), look.range.symlog},
        {QStringLiteral("lookMarks"), look.marks},
        {QStringLiteral("lookMargins"), look.margins},
        {QStringLiteral("lookBottom"), !look.layerZeroAtTop},
        {sort, true},
        {QStringLiteral("lookMap-") + (look.map ? look.map->name() : QString()), true},
    };
    for (const auto& [name, on] : states) {
        auto* a = m_lookMenu->findChild<QAction*>(name);
        if (a && a->isChecked() != on) {
            const QSignalBlocker quiet(a);
            a->setChecked(on);
        }
    }
}

QString OverviewPage::headlineText() const {
    return m_headline->fullText();
}

QString OverviewPage::placeholder() const {
    switch (m_document->state()) {
    case Document::State::loading:
        return tr("Opening…");
    case Document::State::computing:
        return tr("Waiting for the first layer");
    case Document::State::collecting:
        return tr("Collecting gradients…");
    case Document::State::importing:
        return tr("Importing…");
    default:
        return m_document->canCompute() ? tr("Not computed yet: press Compute or F5")
                                        : tr("Nothing to show");
    }
}

std::array<HeatmapData, 4> OverviewPage::mapData() const {
    std::array<HeatmapData, 4> panels;
    const auto& scores = *m_values->scores();
    for (const Block b : allBlocks) {
        panels[blockIndex(b)] = blockHeatmap(scores, b, m_values->values(b));
    }
    return panels;
}

void OverviewPage::refresh() {
    m_reduction->setCurrentIndex(m_reduction->findData(static_cast<int>(m_values->reduction())));
    const auto scores = m_values->scores();
    if (!scores) {
        m_maps->clear(placeholder());
        m_bars->clear();
        const auto& r = m_document->request();
        const bool ready = m_document->canCompute();
        m_startText->setText(tr("Compute scores every sample of %1 against every sample of %2 in "
                                "every head of every "
                                "layer.")
                                 .arg(quoted(r.taskA), quoted(r.taskB)));
        m_startText->setMinimumHeight(m_startText->heightForWidth(400));
        showStart(ready && !m_document->busy());
        m_headline->setFullText(
            ready ? QStringLiteral("%1 → %2").arg(quoted(r.taskA), quoted(r.taskB)) : QString());
        m_note->setFullText({});
        refreshLegend();
        return;
    }
    showStart(false);
    const auto& h = scores->header();
    m_maps->setData(mapData(), isSigned(h), valueLabel(h));
    const QString sentence = headline(*scores);
    m_headline->setFullText(sentence.isEmpty() ? tr("No cell has data") : sentence);
    QString note = provenance(h, false);
    if (!scores->complete()) {
        std::size_t done = 0;
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            done += scores->computed(l) ? 1 : 0;
        }
        note = tr("Partial: %1 of %2 layers, dots are not computed · ")
                   .arg(done)
                   .arg(h.layers.size()) +
               note;
    }
    m_note->setFullText(note);
    const auto o = results::overview(*scores);
    m_bars->setValues(o.blockMean);
    m_bars->setEmphasis(o.mostConflicted);
    refreshLegend();
    refreshSelection();
}

void OverviewPage::refreshSelection() {
    m_maps->setSelected(m_document->selection()->cell());
    m_maps->setMarked(m_document->selection()->cells());
}

void OverviewPage::refreshLegend() {
    QStringList parts;
    const auto scores = m_values->scores();
    if (scores && m_maps->look().marks) {
        const auto& types = scores->header().headTypes;
        for (std::size_t t = 0; t < types.names.size(); ++t) {
            const auto& name = types.names[t];
            const QChar mark = headTypeMark(quoted(name));
            const bool there =
                std::find(types.type.begin(), types.type.end(), t) != types.type.end();
            if (!mark.isNull() && there) {
                parts << mark + QStringLiteral(" ") + headTypeLabel(quoted(name));
            }
        }
    }
    m_legend->setFullText(parts.join(QStringLiteral("    ")));
    m_legend->setVisible(!parts.isEmpty());
}

QString OverviewPage::toolTipOf(const CellRef& cell) const {
    const auto scores = m_values->scores();
    if (!scores) {
        return {};
    }
    const auto& h = scores->header();
    const auto row = static_cast<std::size_t>(cell.row);
    const auto column = static_cast<std::size_t>(cell.column);
    QString html = QStringLiteral("<b>%1</b>").arg(cellName(h, cell));
    const QString type = typeName(h, cell.row, cell.column);
    if (!type.isEmpty()) {
        html += QStringLiteral(" · ") + type.toHtmlEscaped();
    }
    if (!scores->computed(row)) {
        return html + QStringLiteral("<br>") + tr("Not computed yet");
    }
    html += QStringLiteral("<table cellspacing='0' cellpadding='1'>");
    for (const Block b : allBlocks) {
        const QString value = number(m_values->value(b, cell.row, cell.column));
        const QString open = b == cell.block ? QStringLiteral("<b>") : QString();
        const QString close = b == cell.block ? QStringLiteral("</b>") : QString();
        html += QStringLiteral("<tr><td>%3%1%4&nbsp;&nbsp;</td><td align='right'>%3%2%4</td></tr>")
                    .arg(QString(QLatin1Char(blockName(b))), value, open, close);
    }
    html += QStringLiteral("</table>");
    QStringList lines;
    if (std::isnan(scores->mean(cell.block, row, column))) {
        lines << (h.blocks[blockIndex(cell.block)] ? tr("Missing: the dump has no usable data here")
                                                   : tr("This block was not asked for"));
    } else {
        const auto rank = results::rankOf(*scores, cell.block, row, column);
        if (rank.rank > 0) {
            lines << tr("Rank %1 of %2")
                         .arg(count(static_cast<std::int64_t>(rank.rank)),
                              count(static_cast<std::int64_t>(rank.of)));
        }
        lines << tr("Fisher %1").arg(fisherWords(scores->health(cell.block, row, column)));
    }
    const QString kv = kvSharing(h, cell);
    if (!kv.isEmpty()) {
        QString k = kv;
        k[0] = k[0].toUpper();
        lines << k;
    }
    for (QString& l : lines) {
        l = l.toHtmlEscaped();
    }
    return html + lines.join(QStringLiteral("<br>"));
}

} // namespace qkov::ui
