// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QLabel;
class QStackedWidget;
class QToolButton;

namespace qkov::ui {

class BlockBars;
class CellPairs;
class ConflictTable;
class Document;
class ElidedLabel;
class FactList;
class MapValues;
class PairMatrix;
class SegmentedControl;
class TextView;

/// Right of the maps: what the selected cell is, its pairs, and the two texts that collide.
class SelectionPanel : public QWidget {
    Q_OBJECT

  public:
    SelectionPanel(Document* document, MapValues* values, CellPairs* pairs,
                   QWidget* parent = nullptr);

    FactList* facts() const { return m_facts; }
    PairMatrix* matrix() const { return m_matrix; }
    ConflictTable* table() const { return m_table; }
    TextView* textA() const { return m_textA; }
    TextView* textB() const { return m_textB; }
    BlockBars* pairBars() const { return m_pairBars; }
    /// On the Pairs page the matrix, table and texts are larger there: only the facts stay here.
    void setBrief(bool brief);

  protected:
    void resizeEvent(QResizeEvent* event) override;

  private:
    static constexpr int heightForBoth = 740;
    void fitHeight();
    QWidget* buildCell();
    QWidget* buildEmpty();
    void refreshFacts();
    void refreshPair();

    Document* m_document;
    MapValues* m_values;
    CellPairs* m_pairs;
    QStackedWidget* m_stack;
    ElidedLabel* m_title;
    QLabel* m_subtitle;
    FactList* m_facts;
    SegmentedControl* m_view;
    PairMatrix* m_matrix;
    ConflictTable* m_table;
    ElidedLabel* m_pairTitle;
    QToolButton* m_hold;
    BlockBars* m_pairBars;
    TextView* m_textA;
    TextView* m_textB;
    QList<QWidget*> m_details;
};

} // namespace qkov::ui
