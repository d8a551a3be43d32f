// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Notes.h"
#include "plots/HeatmapView.h"

#include <QJsonObject>
#include <QWidget>

#include <array>

class QHBoxLayout;
class QLabel;
class QLineEdit;
class QTableWidget;
class QToolButton;

namespace qkov::ui {

class CellPairs;
class ConflictTable;
class Document;
class ElidedLabel;
class FactList;
class PairMatrix;
class PairProfile;
class SegmentedControl;
class TextView;

/// Matrix and table above, the pair below: both texts, its profile over the four maps between them,
/// the numbers behind its score, and the pairs kept for comparison.
class PairsPage : public QWidget {
    Q_OBJECT

  public:
    PairsPage(Document* document, CellPairs* pairs, PairProfile* profile, Notes* notes,
              QWidget* parent = nullptr);

    PairMatrix* matrix() const { return m_matrix; }
    ConflictTable* table() const { return m_table; }
    TextView* textA() const { return m_textA; }
    TextView* textB() const { return m_textB; }
    QTableWidget* pinTable() const { return m_pinTable; }
    HeatmapView* profileView(Block block) const { return m_profileViews[blockIndex(block)]; }
    /// Order, scope and filter, for a session.
    QJsonObject viewState() const;
    void setViewState(const QJsonObject& state);
    FactList* diagnostics() const { return m_diagnostics; }

  protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

  private:
    QWidget* buildMatrix();
    QWidget* buildTable();
    QWidget* buildPair();
    void refreshPair();
    void refreshProfile();
    void refreshDiagnostics();
    void refreshPins();
    void search(const QString& words);

    Document* m_document;
    CellPairs* m_pairs;
    PairProfile* m_profile;
    Notes* m_notes;
    PairMatrix* m_matrix;
    SegmentedControl* m_order;
    SegmentedControl* m_scope;
    ConflictTable* m_table;
    ElidedLabel* m_title;
    QToolButton* m_pin;
    QLineEdit* m_search;
    QLabel* m_found;
    TextView* m_textA;
    TextView* m_textB;
    std::array<HeatmapView*, 4> m_profileViews{};
    FactList* m_diagnostics;
    QTableWidget* m_pinTable;
    QWidget* m_pinArea = nullptr;
    QWidget* m_pairCard = nullptr;
};

/// The selection by the model's own numbers and sample ids; none without a cell.
std::optional<Place> placeOf(const Document& document);
/// Selects the place, where the current scores have it.
bool goTo(Document& document, const Place& place);

} // namespace qkov::ui
