// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/FourMaps.h"

#include "plots/ColorBar.h"
#include "widgets/Card.h"
#include "widgets/Theme.h"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkov::ui {

FourMaps::FourMaps(QWidget* parent)
    : QWidget(parent)
    , m_barCard(new Card({}, this))
    , m_sharedBar(new ColorBar(this)) {
    auto* grid = new QGridLayout;
    grid->setSpacing(12);
    for (const Block b : allBlocks) {
        const auto k = blockIndex(b);
        auto* card = new Card({}, this);
        card->body()->setContentsMargins(6, 6, 6, 6);
        m_views[k] = new HeatmapView(card);
        const QString name(QLatin1Char(blockName(b)));
        nameWidget(m_views[k], qPrintable(QStringLiteral("map") + name),
                   tr("Map of block %1, layers by heads").arg(name));
        m_views[k]->setMultiSelection(true);
        m_ownBars[k] = new ColorBar(card);
        m_ownBars[k]->setAccessibleName(tr("Colour bar of block %1").arg(name));
        m_ownBars[k]->hide();
        auto* line = new QHBoxLayout;
        line->setSpacing(4);
        line->addWidget(m_views[k], 1);
        line->addWidget(m_ownBars[k]);
        card->body()->addLayout(line);
        grid->addWidget(card, static_cast<int>(k / 2), static_cast<int>(k % 2));
        connectView(b);
    }
    for (int i = 0; i < 2; ++i) {
        grid->setRowStretch(i, 1);
        grid->setColumnStretch(i, 1);
    }
    nameWidget(m_sharedBar, "colorBar", tr("Colour bar of the four maps"));
    m_barCard->body()->setContentsMargins(6, 12, 6, 12);
    m_barCard->body()->addWidget(m_sharedBar);
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(12);
    line->addLayout(grid, 1);
    line->addWidget(m_barCard);
}

void FourMaps::connectView(Block block) {
    auto* v = m_views[blockIndex(block)];
    connect(v, &HeatmapView::hovered, this, [this, block](int row, int column) {
        m_hoveredBlock = block;
        hover(CellPosition{row, column});
    });
    connect(v, &HeatmapView::left, this, [this] {
        m_hoveredBlock.reset();
        hover({});
    });
    connect(v, qOverload<int, int>(&HeatmapView::selected), this,
            [this, block](int row, int column) { emit selected(original(block, row, column)); });
    connect(v, &HeatmapView::activated, this,
            [this, block](int row, int column) { emit activated(original(block, row, column)); });
    connect(v, &HeatmapView::contextMenuRequested, this,
            [this, block](int row, int column, QPoint at) {
                emit contextMenuRequested(original(block, row, column), at);
            });
    connect(v, &HeatmapView::markedChanged, this, [this, block, v] {
        std::vector<CellRef> cells;
        for (const CellPosition p : v->marked()) {
            cells.push_back(original(block, p.row, p.column));
        }
        emit markedByUser(cells);
    });
    connect(v, &HeatmapView::viewRangeChanged, this, [this, v](const QRectF& range) {
        for (auto* other : m_views) {
            if (other != v) {
                other->setViewRange(range);
            }
        }
    });
}

void FourMaps::hover(std::optional<CellPosition> position) {
    for (const Block b : allBlocks) {
        auto* v = view(b);
        v->setCrosshair(position);
        std::optional<double> value;
        if (position && v->data().contains(*position)) {
            const double x = v->data().value(position->row, position->column);
            if (!std::isnan(x)) {
                value = x;
            }
        }
        m_ownBars[blockIndex(b)]->setPointer(value);
        if (m_hoveredBlock == b) {
            m_sharedBar->setPointer(value);
        }
    }
    if (!position) {
        m_sharedBar->setPointer({});
    }
}

void FourMaps::setData(std::array<HeatmapData, 4> panels, bool isSigned, const QString& label) {
    m_signed = isSigned;
    m_label = label;
    m_panels = std::move(panels);
    arrange();
}

void FourMaps::arrange() {
    m_order = {};
    if (m_look.sort != HeadSort::number) {
        // A place must be the same head in all four: the block with the highest mean decides.
        const auto mean = [](const HeatmapData& d) {
            double sum = 0;
            int n = 0;
            for (const double v : d.values) {
                if (!std::isnan(v)) {
                    sum += v;
                    ++n;
                }
            }
            return n > 0 ? sum / n : -std::numeric_limits<double>::infinity();
        };
        const auto leader =
            std::max_element(m_panels.begin(), m_panels.end(),
                             [&](const auto& a, const auto& b) { return mean(a) < mean(b); });
        m_order = HeadOrder(*leader, m_look.sort, m_signed);
    }
    for (std::size_t k = 0; k < 4; ++k) {
        HeatmapData shown = m_order.natural() ? m_panels[k] : m_order.apply(m_panels[k]);
        if (m_look.margins) {
            shown.addMargins();
        }
        m_views[k]->setData(std::move(shown));
    }
    rescale();
    setSelected(m_selected);
    setMarked(m_marked);
}

CellRef FourMaps::original(Block block, int row, int column) const {
    if (m_order.natural()) {
        return {block, row, column};
    }
    const auto p = m_order.original({row, column});
    return {block, p.row, p.column};
}

void FourMaps::clear(const QString& placeholder) {
    for (auto* v : m_views) {
        v->setPlaceholder(placeholder);
        v->setData({});
        v->setSelected({});
        v->setMarked({});
    }
    m_panels = {};
    m_order = {};
    m_barCard->hide();
    for (auto* bar : m_ownBars) {
        bar->hide();
    }
}

void FourMaps::rescale() {
    std::vector<std::span<const double>> all;
    for (auto* v : m_views) {
        all.emplace_back(v->data().values);
    }
    const ColorMap map = m_look.map.value_or(m_signed ? ColorMap::Id::vik : ColorMap::Id::viridis);
    RangeOptions options = m_look.range;
    options.centred = map.diverging();
    const auto common = ColorScale::fit(map, all, options);
    for (std::size_t k = 0; k < 4; ++k) {
        const auto scale = m_look.sharedRange ? common : ColorScale::fit(map, {all[k]}, options);
        m_views[k]->setScale(scale);
        m_ownBars[k]->setScale(scale);
        m_ownBars[k]->setVisible(!m_look.sharedRange);
    }
    m_sharedBar->setScale(common);
    m_sharedBar->setLabel(m_label);
    m_barCard->setVisible(m_look.sharedRange);
}

void FourMaps::setLook(const Look& look) {
    m_look = look;
    for (auto* v : m_views) {
        v->setMarksVisible(look.marks);
        v->setRowZeroAtTop(look.layerZeroAtTop);
    }
    if (view(Block::Q)->data().rows > 0) {
        arrange();
    }
}

void FourMaps::setToolTipProvider(std::function<QString(CellRef)> provider) {
    for (const Block b : allBlocks) {
        view(b)->setToolTipProvider([this, provider, b](int row, int column) {
            return provider(original(b, row, column));
        });
    }
}

void FourMaps::setSelected(std::optional<CellRef> cell) {
    m_selected = cell;
    const auto shownAt = [this](const CellRef& c) {
        return m_order.natural() ? CellPosition{c.row, c.column} : m_order.shown({c.row, c.column});
    };
    // The same place in all four would read as four selections: only its own block keeps it.
    for (const Block b : allBlocks) {
        view(b)->setSelected(cell && cell->block == b ? std::optional(shownAt(*cell))
                                                      : std::nullopt);
    }
}

void FourMaps::setMarked(const std::vector<CellRef>& cells) {
    const std::vector<CellRef> copy = cells; // may be our own
    m_marked = copy;
    for (const Block b : allBlocks) {
        std::vector<CellPosition> mine;
        for (const CellRef& c : copy) {
            if (c.block == b) {
                mine.push_back(m_order.natural() ? CellPosition{c.row, c.column}
                                                 : m_order.shown({c.row, c.column}));
            }
        }
        view(b)->setMarked(std::move(mine));
    }
}

} // namespace qkov::ui
