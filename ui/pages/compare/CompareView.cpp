// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/compare/CompareView.h"

#include "document/Words.h"
#include "pages/compare/Agreement.h"
#include "plots/CellScatter.h"
#include "plots/ColorBar.h"
#include "results/Summary.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>

#include <cmath>

namespace qkov::ui {

namespace {

/// a − b, cell by cell; missing where either is.
HeatmapData differenceMap(const HeatmapData& a, const HeatmapData& b) {
    HeatmapData d = a;
    d.title.clear();
    d.subtitle.clear();
    d.marks.clear();
    for (std::size_t n = 0; n < d.values.size(); ++n) {
        d.values[n] = a.values[n] - b.values[n];
        if (d.states[n] == HeatmapData::State::ok) {
            d.states[n] = b.states[n];
        }
    }
    return d;
}

QHBoxLayout* beside(QWidget* view, QWidget* bar) {
    auto* line = new QHBoxLayout;
    line->setSpacing(4);
    line->addWidget(view, 1);
    line->addWidget(bar);
    return line;
}

/// Wrapped: in three narrow cards a sentence needs its lines.
QLabel* quietLine(QWidget* parent) {
    auto* label = new QLabel(parent);
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
    label->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    label->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Minimum);
    setTextSize(label, TextSize::small);
    setMuted(label);
    return label;
}

} // namespace

CompareView::CompareView(QWidget* parent)
    : QWidget(parent)
    , m_grid(new QGridLayout(this)) {
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_grid->setSpacing(12);
    buildCards();
}

void CompareView::buildCards() {
    for (std::size_t n = 0; n < 3; ++n) {
        MapCard& m = m_maps[n];
        m.card = new Card(QStringLiteral(" "), this);
        m.verdict = new ElidedLabel(m.card);
        setTextSize(m.verdict, TextSize::small);
        m.note = quietLine(m.card);
        m.view = new HeatmapView(m.card);
        m.view->setSquareCells(false); // side by side, all of one shape
        m.bar = new ColorBar(m.card);
        m.card->body()->setSpacing(4);
        m.card->body()->addWidget(m.verdict);
        m.card->body()->addWidget(m.note);
        m.card->body()->addLayout(beside(m.view, m.bar), 1);
        link(m.view);

        PairCard& p = m_pairs[n];
        p.card = new Card(QStringLiteral(" "), this);
        p.note = quietLine(p.card);
        p.view = new HeatmapView(p.card);
        p.view->setSquareCells(false);
        p.card->body()->addWidget(p.note);
        p.card->body()->setSpacing(4);
        p.bar = new ColorBar(p.card);
        p.card->body()->addLayout(beside(p.view, p.bar), 1);
        link(p.view);
        p.scatterCard = new Card(QStringLiteral(" "), this);
        p.scatterNote = quietLine(p.scatterCard);
        p.scatter = new CellScatter(p.scatterCard);
        p.scatterCard->body()->addWidget(p.scatterNote);
        p.scatterCard->body()->addWidget(p.scatter, 1);
        const auto position = [this](int id) {
            const int columns = m_maps[0].view->data().columns;
            return CellPosition{id / std::max(1, columns), id % std::max(1, columns)};
        };
        connect(p.scatter, &CellScatter::hovered, this, [this, position, s = p.scatter](int id) {
            const CellPosition at = position(id);
            s->setToolTip(toolTipOf(at.row, at.column));
            hover(at, s);
        });
        connect(p.scatter, &CellScatter::left, this, [this, s = p.scatter] { hover({}, s); });
        connect(p.scatter, qOverload<int>(&CellScatter::selected), this, [this, position](int id) {
            const CellPosition at = position(id);
            emit selected(CellRef{m_block, at.row, at.column});
        });
    }
}

std::vector<HeatmapView*> CompareView::views() const {
    std::vector<HeatmapView*> list;
    for (const MapCard& m : m_maps) {
        list.push_back(m.view);
    }
    for (const PairCard& p : m_pairs) {
        list.push_back(p.view);
    }
    return list;
}

void CompareView::link(HeatmapView* view) {
    view->setToolTipProvider([this](int row, int column) { return toolTipOf(row, column); });
    connect(view, &HeatmapView::hovered, this, [this, view](int row, int column) {
        hover(CellPosition{row, column}, view);
    });
    connect(view, &HeatmapView::left, this, [this, view] { hover({}, view); });
    connect(view, qOverload<int, int>(&HeatmapView::selected), this, [this](int row, int column) {
        emit selected(CellRef{m_block, row, column});
    });
    connect(view, &HeatmapView::activated, this, [this](int row, int column) {
        emit activated(CellRef{m_block, row, column});
    });
    connect(view, &HeatmapView::viewRangeChanged, this, [this, view](const QRectF& range) {
        for (HeatmapView* other : views()) {
            if (other != view) {
                other->setViewRange(range);
            }
        }
    });
}

void CompareView::hover(std::optional<CellPosition> cell, const QWidget* from) {
    for (HeatmapView* v : views()) {
        v->setCrosshair(cell);
    }
    const auto pointTo = [&](ColorBar* bar, const HeatmapView* view) {
        const bool has = cell && view->data().contains(*cell) &&
                         view->data().state(cell->row, cell->column) == HeatmapData::State::ok;
        bar->setPointer(has ? std::optional(view->data().value(cell->row, cell->column))
                            : std::nullopt);
    };
    for (const MapCard& m : m_maps) {
        pointTo(m.bar, m.view);
    }
    for (const PairCard& p : m_pairs) {
        pointTo(p.bar, p.view);
        const int columns = m_maps[0].view->data().columns;
        if (p.scatter != from) {
            p.scatter->setHighlighted(cell ? std::optional(cell->row * columns + cell->column)
                                           : std::nullopt);
        }
    }
}

void CompareView::setColumns(std::vector<Column> columns,
                             std::vector<std::array<std::size_t, 2>> pairs) {
    columns.resize(std::min<std::size_t>(columns.size(), 3));
    pairs.resize(std::min<std::size_t>(pairs.size(), 3));
    m_columns = std::move(columns);
    m_pairIndices = std::move(pairs);
    refresh();
}

void CompareView::resizeEvent(QResizeEvent*) {
    // In narrow cards the cells need the room more than the words "Layer" and "Head".
    for (HeatmapView* v : views()) {
        v->setAxisTitlesVisible(width() >= 900);
    }
    levelNotes();
}

/// Notes side by side take the same number of lines, so that the maps below stay level.
void CompareView::levelNotes() {
    const auto used = static_cast<int>(std::max<std::size_t>(m_columns.size(), 1));
    const int width =
        (this->width() - (used - 1) * m_grid->spacing()) / used - 24; // margins of a card
    const auto level = [width](const std::vector<QLabel*>& labels) {
        int height = 0;
        for (const QLabel* l : labels) {
            height = std::max(height, l->text().isEmpty() ? 0 : l->heightForWidth(width));
        }
        for (QLabel* l : labels) {
            l->setFixedHeight(height);
        }
    };
    level({m_maps[0].note, m_maps[1].note, m_maps[2].note});
    level({m_pairs[0].note, m_pairs[1].note, m_pairs[2].note});
    level({m_pairs[0].scatterNote, m_pairs[1].scatterNote, m_pairs[2].scatterNote});
}

void CompareView::setBlock(Block block) {
    if (block != m_block) {
        m_block = block;
        refresh();
    }
}

void CompareView::setCommonRange(bool on) {
    m_commonRange = on;
    rescale();
    arrange();
}

void CompareView::setLower(Lower lower) {
    m_lower = lower;
    arrange();
}

void CompareView::setSelected(std::optional<CellRef> cell) {
    m_selected = cell;
    const bool here = cell && cell->block == m_block;
    for (HeatmapView* v : views()) {
        v->setSelected(here ? std::optional(CellPosition{cell->row, cell->column}) : std::nullopt);
    }
    const int columns = m_maps[0].view->data().columns;
    for (const PairCard& p : m_pairs) {
        p.scatter->setSelected(here ? std::optional(cell->row * columns + cell->column)
                                    : std::nullopt);
    }
}

QString CompareView::agreementText(std::size_t pair) const {
    const auto& [a, b] = m_pairIndices.at(pair);
    const auto& sa = m_columns[a].scores;
    const auto& sb = m_columns[b].scores;
    if (!sa || !sb) {
        return {};
    }
    const bool lowest = results::lowIsConflict(sa->header().request.variant);
    const Agreement g =
        agreement(distinctMeans(*sa, m_block), distinctMeans(*sb, m_block), topCells, lowest);
    if (g.cells == 0) {
        return tr("No cell has a value in both");
    }
    return tr("ρ %1 · %2 of the top %3 shared").arg(number(g.rho)).arg(g.shared).arg(g.top);
}

void CompareView::refresh() {
    for (std::size_t n = 0; n < m_columns.size(); ++n) {
        const Column& c = m_columns[n];
        const MapCard& m = m_maps[n];
        m.card->setTitle(c.title);
        m.verdict->setFullText(c.verdict);
        m.verdict->setVisible(!c.verdict.isEmpty());
        m.note->setText(c.note);
        nameWidget(m.view, qPrintable(QStringLiteral("compareMap%1").arg(n)),
                   tr("%1, block %2").arg(c.title, QString(QLatin1Char(blockName(m_block)))));
        m.view->setPlaceholder(c.why);
        HeatmapData shown = c.scores ? blockHeatmap(*c.scores, m_block) : HeatmapData{};
        shown.title.clear();
        shown.subtitle.clear();
        m.view->setData(std::move(shown));
    }
    for (std::size_t n = 0; n < m_pairIndices.size(); ++n) {
        const auto& [a, b] = m_pairIndices[n];
        const PairCard& p = m_pairs[n];
        const Column& ca = m_columns.at(a);
        const Column& cb = m_columns.at(b);
        p.card->setTitle(QStringLiteral("%1 − %2").arg(ca.title, cb.title));
        p.scatterCard->setTitle(tr("%1 against %2").arg(ca.title, cb.title));
        nameWidget(p.view, qPrintable(QStringLiteral("differenceMap%1").arg(n)),
                   tr("Difference %1 minus %2").arg(ca.title, cb.title));
        HeatmapData shown;
        std::vector<CellScatter::Point> points;
        if (ca.scores && cb.scores) {
            const HeatmapData& da = m_maps[a].view->data();
            const HeatmapData& db = m_maps[b].view->data();
            shown = differenceMap(da, db);
            const engine::ScoreHeader& h = ca.scores->header();
            for (int r = 0; r < da.rows; ++r) {
                for (int k = 0; k < da.columns; ++k) {
                    if (h.distinct(m_block, static_cast<std::size_t>(k)) &&
                        shown.state(r, k) == HeatmapData::State::ok) {
                        points.push_back({r * da.columns + k, db.value(r, k), da.value(r, k)});
                    }
                }
            }
        }
        const QString missing = ca.scores ? cb.why : ca.why;
        p.bar->setVisible(ca.scores && cb.scores);
        p.view->setPlaceholder(missing);
        p.view->setData(std::move(shown));
        p.scatter->setPoints(std::move(points));
        p.scatter->setAxisTitles(cb.title, ca.title);
        const QString text = agreementText(n);
        p.note->setText(text);
        p.scatterNote->setText(text);
    }
    rescale();
    arrange();
    levelNotes();
    setSelected(m_selected);
}

void CompareView::rescale() {
    std::vector<std::span<const double>> maps, differences;
    bool diverging = false;
    for (std::size_t n = 0; n < m_columns.size(); ++n) {
        maps.emplace_back(m_maps[n].view->data().values);
        if (m_columns[n].scores) {
            diverging = diverging || isSigned(m_columns[n].scores->header());
        }
    }
    for (std::size_t n = 0; n < m_pairIndices.size(); ++n) {
        differences.emplace_back(m_pairs[n].view->data().values);
    }
    RangeOptions range;
    range.centred = diverging;
    const ColorMap map = diverging ? ColorMap::Id::vik : ColorMap::Id::viridis;
    const ColorScale common = ColorScale::fit(map, maps, range);
    for (std::size_t n = 0; n < m_columns.size(); ++n) {
        const ColorScale scale = m_commonRange ? common : ColorScale::fit(map, {maps[n]}, range);
        m_maps[n].view->setScale(scale);
        m_maps[n].bar->setScale(scale);
    }
    range.centred = true;
    const ColorScale difference = ColorScale::fit(ColorMap::Id::vik, differences, range);
    for (std::size_t n = 0; n < m_pairIndices.size(); ++n) {
        m_pairs[n].view->setScale(difference);
        m_pairs[n].bar->setScale(difference);
    }
}

void CompareView::arrange() {
    while (QLayoutItem* item = m_grid->takeAt(0)) {
        delete item;
    }
    for (std::size_t n = 0; n < 3; ++n) {
        const MapCard& m = m_maps[n];
        const bool used = n < m_columns.size();
        m.card->setVisible(used);
        m.bar->setVisible(used && m_columns[n].scores);
        if (used) {
            m_grid->addWidget(m.card, 0, static_cast<int>(n));
        }
        m_grid->setColumnStretch(static_cast<int>(n), used ? 1 : 0);
    }
    const bool maps = m_lower != Lower::scatter && !m_pairIndices.empty();
    const bool scatters = m_lower != Lower::differences && !m_pairIndices.empty();
    const bool one = m_pairIndices.size() == 1; // two results: difference and scatter side by side
    for (std::size_t n = 0; n < 3; ++n) {
        const PairCard& p = m_pairs[n];
        const bool used = n < m_pairIndices.size();
        p.card->setVisible(used && (maps || one));
        p.scatterCard->setVisible(used && (scatters || one));
        if (!used) {
            continue;
        }
        const int column = static_cast<int>(n);
        if (one) {
            m_grid->addWidget(p.card, 1, 0);
            m_grid->addWidget(p.scatterCard, 1, 1);
        } else {
            if (maps) {
                m_grid->addWidget(p.card, 1, column);
            }
            if (scatters) {
                m_grid->addWidget(p.scatterCard, maps ? 2 : 1, column);
            }
        }
    }
    for (int r = 0; r < 3; ++r) {
        // The upper cards have more words above their maps.
        m_grid->setRowStretch(r, r == 0 || (r == 1 && !m_pairIndices.empty()) ||
                                         (r == 2 && maps && scatters && !one)
                                     ? (r == 0 ? 5 : 4)
                                     : 0);
    }
}

QString CompareView::toolTipOf(int row, int column) const {
    QString html;
    for (std::size_t n = 0; n < m_columns.size(); ++n) {
        const Column& c = m_columns[n];
        if (c.scores && m_maps[n].view->data().contains({row, column})) {
            html = QStringLiteral("<b>%1</b>")
                       .arg(cellName(c.scores->header(), CellRef{m_block, row, column}));
            const QString type = typeName(c.scores->header(), row, column);
            if (!type.isEmpty()) {
                html += QStringLiteral(" · ") + type.toHtmlEscaped();
            }
            break;
        }
    }
    html += QStringLiteral("<table cellspacing='0' cellpadding='1'>");
    const auto line = [&](const QString& name, const QString& value, const QString& rank) {
        html += QStringLiteral("<tr><td>%1&nbsp;&nbsp;</td><td align='right'>%2</td>"
                               "<td>&nbsp;&nbsp;%3</td></tr>")
                    .arg(name.toHtmlEscaped(), value, rank);
    };
    for (std::size_t n = 0; n < m_columns.size(); ++n) {
        const Column& c = m_columns[n];
        const HeatmapData& d = m_maps[n].view->data();
        if (!c.scores || !d.contains({row, column})) {
            continue;
        }
        QString rank;
        if (d.state(row, column) == HeatmapData::State::ok) {
            const auto r = results::rankOf(*c.scores, m_block, static_cast<std::size_t>(row),
                                           static_cast<std::size_t>(column));
            if (r.rank > 0) {
                rank = tr("rank %1").arg(count(static_cast<std::int64_t>(r.rank)));
            }
        }
        line(c.title, number(d.value(row, column)), rank);
    }
    for (std::size_t n = 0; n < m_pairIndices.size(); ++n) {
        const HeatmapData& d = m_pairs[n].view->data();
        if (d.contains({row, column})) {
            line(QStringLiteral("%1 − %2").arg(m_columns[m_pairIndices[n][0]].title,
                                               m_columns[m_pairIndices[n][1]].title),
                 number(d.value(row, column)), {});
        }
    }
    return html + QStringLiteral("</table>");
}

} // namespace qkov::ui
