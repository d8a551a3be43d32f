// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Selection.h"
#include "engine/Scores.h"
#include "plots/HeatmapView.h"

#include <QWidget>

#include <array>
#include <memory>
#include <vector>

class QButtonGroup;
class QGridLayout;
class QLabel;

namespace qkov::ui {

class Card;
class CellScatter;
class ColorBar;
class ElidedLabel;
class SegmentedControl;

/// Up to three results of the same cells beside each other, one block at a time: the maps, and
/// below each pair of them their difference or scatter. Everything is linked by the cell.
class CompareView : public QWidget {
    Q_OBJECT

  public:
    struct Column {
        QString title;   ///< "Structural"
        QString letter;  ///< "S", in the names of differences
        QString verdict; ///< line under the title: "May violate the theorem"; may be empty
        QString note;    ///< quiet line under the title
        std::shared_ptr<const engine::Scores> scores; ///< null: `why` is shown instead
        QString why;
    };
    enum class Lower { differences, scatter, both };
    static constexpr std::size_t topCells = 20;

    explicit CompareView(QWidget* parent = nullptr);

    /// Two or three columns whose scores have the same layers and heads. Pairs below, as indices
    /// (a, b) for a − b: three for three columns, one for two.
    void setColumns(std::vector<Column> columns, std::vector<std::array<std::size_t, 2>> pairs);
    void setBlock(Block block);
    Block block() const { return m_block; }
    void setCommonRange(bool on);
    void setLower(Lower lower);
    void setSelected(std::optional<CellRef> cell);

    HeatmapView* map(std::size_t column) const { return m_maps[column].view; }
    HeatmapView* difference(std::size_t pair) const { return m_pairs[pair].view; }
    CellScatter* scatter(std::size_t pair) const { return m_pairs[pair].scatter; }
    /// "ρ 0.93 · 14 of the top 20 cells in both"
    QString agreementText(std::size_t pair) const;
    QString toolTipOf(int row, int column) const;

  signals:
    void selected(qkov::ui::CellRef cell);
    void activated(qkov::ui::CellRef cell);

  protected:
    void resizeEvent(QResizeEvent* event) override;

  private:
    struct MapCard {
        Card* card = nullptr;
        ElidedLabel* verdict = nullptr;
        QLabel* note = nullptr;
        HeatmapView* view = nullptr;
        ColorBar* bar = nullptr;
    };
    struct PairCard {
        Card* card = nullptr;
        QLabel* note = nullptr;
        HeatmapView* view = nullptr;
        ColorBar* bar = nullptr;
        CellScatter* scatter = nullptr;
        Card* scatterCard = nullptr;
        QLabel* scatterNote = nullptr;
    };
    void buildCards();
    void link(HeatmapView* view);
    void hover(std::optional<CellPosition> cell, const QWidget* from);
    void refresh();
    void rescale();
    void arrange();
    void levelNotes();
    std::vector<HeatmapView*> views() const;

    std::vector<Column> m_columns;
    std::vector<std::array<std::size_t, 2>> m_pairIndices;
    Block m_block = Block::O;
    bool m_commonRange = false;
    Lower m_lower = Lower::differences;
    std::optional<CellRef> m_selected;
    QGridLayout* m_grid;
    std::array<MapCard, 3> m_maps;
    std::array<PairCard, 3> m_pairs;
};

} // namespace qkov::ui
