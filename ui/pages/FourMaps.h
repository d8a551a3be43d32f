// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Selection.h"
#include "plots/ColorMap.h"
#include "plots/HeadOrder.h"
#include "plots/HeatmapView.h"

#include <QWidget>

#include <array>
#include <functional>

namespace qkov::ui {

class Card;
class ColorBar;

/// Q, K, V and O side by side, two by two: same size, same zoom, one crosshair, one colour bar for
/// all or one each.
class FourMaps : public QWidget {
    Q_OBJECT

  public:
    struct Look {
        bool sharedRange = true;
        bool marks = true;
        bool layerZeroAtTop = true;
        bool margins = false; ///< means per layer and per head beside the maps
        HeadSort sort = HeadSort::number;
        RangeOptions range;
        std::optional<ColorMap> map; ///< unset: viridis, or vik for signed scores
        friend bool operator==(const Look&, const Look&) = default;
    };

    explicit FourMaps(QWidget* parent = nullptr);

    /// Same rows and columns in all four. @param label beside the colour bar
    void setData(std::array<HeatmapData, 4> panels, bool isSigned, const QString& label);
    void clear(const QString& placeholder);
    void setLook(const Look& look);
    const Look& look() const { return m_look; }
    void setToolTipProvider(std::function<QString(CellRef)> provider);
    void setSelected(std::optional<CellRef> cell);
    void setMarked(const std::vector<CellRef>& cells);
    HeatmapView* view(Block block) const { return m_views[blockIndex(block)]; }
    ColorBar* bar() const { return m_sharedBar; }
    /// The scale of each map, as shown.
    const ColorScale& scale(Block block) const { return view(block)->scale(); }

  signals:
    void selected(qkov::ui::CellRef cell);
    void activated(qkov::ui::CellRef cell);
    void markedByUser(std::vector<qkov::ui::CellRef> cells);
    void contextMenuRequested(qkov::ui::CellRef cell, QPoint globalPosition);

  private:
    void connectView(Block block);
    /// Orders heads, adds margins, and shows the result.
    void arrange();
    CellRef original(Block block, int row, int column) const;
    void rescale();
    void hover(std::optional<CellPosition> position);

    std::array<HeatmapView*, 4> m_views{};
    std::array<ColorBar*, 4> m_ownBars{};
    Card* m_barCard;
    ColorBar* m_sharedBar;
    Look m_look;
    std::array<HeatmapData, 4> m_panels; ///< as given, heads in the model's order
    HeadOrder m_order;
    std::optional<CellRef> m_selected;
    std::vector<CellRef> m_marked;
    bool m_signed = false;
    QString m_label;
    std::optional<Block> m_hoveredBlock;
};

} // namespace qkov::ui
