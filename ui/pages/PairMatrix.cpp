// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/PairMatrix.h"

#include "document/Document.h"
#include "document/Seriation.h"
#include "document/Words.h"
#include "plots/ColorBar.h"
#include "plots/HeatmapView.h"
#include "widgets/Theme.h"

#include <QHBoxLayout>

#include <algorithm>

namespace qkov::ui {

namespace {

/// The cell's values, already read, dressed as scores: the map is built without touching a file.
class OneCell final : public engine::Scores {
  public:
    OneCell(const engine::Scores& all, const std::vector<float>& values)
        : m_all(all)
        , m_values(values) {}
    const engine::ScoreHeader& header() const override { return m_all.header(); }
    bool computed(std::size_t row) const override { return m_all.computed(row); }
    double mean(Block b, std::size_t row, std::size_t column) const override {
        return m_all.mean(b, row, column);
    }
    engine::CellHealth health(Block b, std::size_t row, std::size_t column) const override {
        return m_all.health(b, row, column);
    }
    std::vector<float> pairs(Block, std::size_t, std::size_t) const override { return m_values; }

  private:
    const engine::Scores& m_all;
    const std::vector<float>& m_values;
};

int placeOf(const std::vector<std::size_t>& order, int sample) {
    if (order.empty()) {
        return sample;
    }
    const auto it = std::find(order.begin(), order.end(), static_cast<std::size_t>(sample));
    return static_cast<int>(it - order.begin());
}

int sampleAt(const std::vector<std::size_t>& order, int place) {
    return order.empty() ? place : static_cast<int>(order[static_cast<std::size_t>(place)]);
}

} // namespace

PairMatrix::PairMatrix(Document* document, CellPairs* pairs, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_pairs(pairs)
    , m_view(new HeatmapView(this))
    , m_bar(new ColorBar(this)) {
    nameWidget(m_view, "pairMatrix", tr("Matrix of sample pairs"));
    m_view->setToolTipProvider([this](int row, int column) { return toolTip(row, column); });
    m_view->setDescriptionProvider([this](int row, int column) -> QString {
        const auto pair = pairAt(row, column);
        const auto& scores = m_pairs->scores();
        if (!pair || !scores || !m_pairs->cell()) {
            return {};
        }
        const auto& h = scores->header();
        return tr("%1 and %2: %3")
            .arg(quoted(h.samplesA[static_cast<std::size_t>(pair->i)].id),
                 quoted(h.samplesB[static_cast<std::size_t>(pair->j)].id),
                 number(m_pairs->score(m_pairs->cell()->block, *pair)));
    });
    m_bar->setAccessibleName(tr("Colour bar of the pair matrix"));
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(6);
    line->addWidget(m_view, 1);
    line->addWidget(m_bar);
    connect(m_view, qOverload<int, int>(&HeatmapView::selected), this, [this](int row, int column) {
        if (const auto pair = pairAt(row, column)) {
            m_document->selection()->setPair(pair);
        }
    });
    connect(m_view, &HeatmapView::hovered, this, [this](int row, int column) {
        m_view->setCrosshair(CellPosition{row, column});
        const double v = m_view->data().value(row, column);
        m_bar->setPointer(std::isnan(v) ? std::nullopt : std::optional(v));
    });
    connect(m_view, &HeatmapView::left, this, [this] {
        m_view->setCrosshair({});
        m_bar->setPointer({});
    });
    connect(pairs, &CellPairs::changed, this, &PairMatrix::refresh);
    connect(document->selection(), &Selection::pairChanged, this, &PairMatrix::refreshSelection);
    refresh();
}

void PairMatrix::setCompact(bool compact) {
    m_compact = compact;
    m_view->setAxisTitlesVisible(!compact);
    refresh();
}

void PairMatrix::setOrder(Order order) {
    if (order != m_order) {
        m_order = order;
        refresh();
    }
}

std::optional<PairRef> PairMatrix::pairAt(int row, int column) const {
    if (!m_view->data().contains({row, column})) {
        return {};
    }
    return PairRef{sampleAt(m_orderA, row), sampleAt(m_orderB, column)};
}

void PairMatrix::refresh() {
    const auto cell = m_pairs->cell();
    const auto& scores = m_pairs->scores();
    if (!cell || !scores) {
        m_view->setPlaceholder(tr("Select a cell of a map"));
        m_view->setData({});
        m_view->setSelected({});
        m_bar->setScale({});
        return;
    }
    const auto& h = scores->header();
    m_orderA.clear();
    m_orderB.clear();
    if (m_order == Order::grouped) {
        m_orderA = groupedOrder(h.samplesA);
        m_orderB = groupedOrder(h.samplesB);
    } else if (m_order == Order::seriated && !m_pairs->values().empty()) {
        std::tie(m_orderA, m_orderB) = seriate(m_pairs->values(), h.nA(), h.nB());
    }
    const OneCell one(*scores, m_pairs->values());
    auto map = pairHeatmap(one, cell->block, static_cast<std::size_t>(cell->row),
                           static_cast<std::size_t>(cell->column), m_orderA, m_orderB);
    if (m_compact) {
        map.rowLabels.clear();
        map.columnLabels.clear();
        map.title.clear();
    }
    const ColorMap colors = isSigned(h) ? ColorMap::Id::vik : ColorMap::Id::viridis;
    RangeOptions options;
    options.kind = RangeOptions::Kind::robust; // a few hot pairs would leave the rest in one colour
    options.centred = colors.diverging();
    const auto scale = ColorScale::fit(colors, {std::span<const double>(map.values)}, options);
    m_view->setScale(scale);
    m_view->setData(std::move(map));
    m_bar->setScale(scale);
    m_bar->setLabel(m_compact ? QString() : tr("Pair score"));
    refreshSelection();
}

void PairMatrix::refreshSelection() {
    const auto pair = m_document->selection()->pair();
    if (!pair || m_view->data().rows == 0) {
        m_view->setSelected({});
        return;
    }
    m_view->setSelected(CellPosition{placeOf(m_orderA, pair->i), placeOf(m_orderB, pair->j)});
}

QString PairMatrix::toolTip(int row, int column) const {
    const auto pair = pairAt(row, column);
    const auto& scores = m_pairs->scores();
    if (!pair || !scores || !m_pairs->cell()) {
        return {};
    }
    const auto& h = scores->header();
    const auto& a = h.samplesA[static_cast<std::size_t>(pair->i)];
    const auto& b = h.samplesB[static_cast<std::size_t>(pair->j)];
    const auto line = [](const dump::SampleInfo& s) {
        QString t = quoted(s.text.substr(0, 160)).simplified();
        t = t.left(80);
        return t.isEmpty() ? QString() : QStringLiteral("<br><i>%1</i>").arg(t.toHtmlEscaped());
    };
    return QStringLiteral("<b>%1 × %2</b> &nbsp; %3%4%5")
        .arg(quoted(a.id).toHtmlEscaped(), quoted(b.id).toHtmlEscaped(),
             number(m_pairs->score(m_pairs->cell()->block, *pair)), line(a), line(b));
}

} // namespace qkov::ui
