// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/CellPairs.h"

#include <QWidget>

namespace qkov::ui {

class ColorBar;
class Document;
class HeatmapView;

/// Sample × sample matrix of the selected cell, in the order it was given.
class PairMatrix : public QWidget {
    Q_OBJECT

  public:
    enum class Order { natural, grouped, seriated };
    PairMatrix(Document* document, CellPairs* pairs, QWidget* parent = nullptr);

    HeatmapView* view() const { return m_view; }
    /// Little room: no axis titles, places instead of ids beside the map (the tooltip has the ids).
    void setCompact(bool compact);
    void setOrder(Order order);
    Order order() const { return m_order; }
    /// Where the pair is drawn, and back.
    std::optional<PairRef> pairAt(int row, int column) const;

  private:
    void refresh();
    void refreshSelection();
    QString toolTip(int row, int column) const;

    Document* m_document;
    CellPairs* m_pairs;
    HeatmapView* m_view;
    ColorBar* m_bar;
    bool m_compact = false;
    Order m_order = Order::natural;
    std::vector<std::size_t> m_orderA, m_orderB; ///< empty: as stored
};

} // namespace qkov::ui
