// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/MapValues.h"
#include "pages/FourMaps.h"

#include <QWidget>

class QComboBox;
class QLabel;
class QMenu;
class QToolButton;

namespace qkov::ui {

class BlockBars;
class Card;
class Document;
class ElidedLabel;

/// The finding in one sentence, the four maps behind it, the block means below.
class OverviewPage : public QWidget {
    Q_OBJECT

  public:
    OverviewPage(Document* document, MapValues* values, QWidget* parent = nullptr);

    FourMaps* maps() const { return m_maps; }
    QString headlineText() const;
    /// Look of the maps as choices in a menu.
    QMenu* lookMenu() const { return m_lookMenu; }
    void setLook(const FourMaps::Look& look);
    QString toolTipOf(const CellRef& cell) const;

  signals:
    void lookChanged();
    void computeRequested();

  private:
    QWidget* buildStart();
    void showStart(bool start);
    void buildControls();
    void buildLookMenu();
    void refresh();
    void refreshSelection();
    void refreshLegend();
    void refreshLookMenu();
    QString placeholder() const;
    std::array<HeatmapData, 4> mapData() const;

    Document* m_document;
    MapValues* m_values;
    ElidedLabel* m_headline;
    ElidedLabel* m_note;
    QComboBox* m_reduction;
    QToolButton* m_lookButton;
    QMenu* m_lookMenu;
    FourMaps* m_maps;
    QLabel* m_startText;
    Card* m_startCard = nullptr;
    QLabel* m_barsTitle;
    BlockBars* m_bars;
    ElidedLabel* m_legend;
};

} // namespace qkov::ui
