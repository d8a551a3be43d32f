// SPDX-License-Identifier: GPL-3.0-or-later
// What is looked at: a cell of the four maps, a pair of samples; and the way that led there.
#pragma once

#include "base/Index.h"

#include <QObject>

#include <optional>
#include <vector>

class QAction;

namespace qkov::ui {

/// Positions on the map (row, column of the current scores), not the model's own numbers.
struct CellRef {
    Block block = Block::Q;
    int row = 0;
    int column = 0;
    friend auto operator<=>(const CellRef&, const CellRef&) = default;
};

struct PairRef {
    int i = 0; ///< index into samplesA
    int j = 0; ///< index into samplesB
    friend auto operator<=>(const PairRef&, const PairRef&) = default;
};

class Selection : public QObject {
    Q_OBJECT

  public:
    struct State {
        std::optional<CellRef> cell;
        std::optional<PairRef> pair;
        friend bool operator==(const State&, const State&) = default;
    };

    explicit Selection(QObject* parent = nullptr);

    const State& state() const { return m_state; }
    std::optional<CellRef> cell() const { return m_state.cell; }
    std::optional<PairRef> pair() const { return m_state.pair; }
    /// Another cell: its own most conflicted pair follows, unless the pair is held.
    void setCell(std::optional<CellRef> cell);
    void setPair(std::optional<PairRef> pair);
    void set(const State& state);
    /// Fills in the pair of the current step without making a new one.
    void amendPair(std::optional<PairRef> pair);
    /// Keep the pair while walking over cells.
    bool pairHeld() const { return m_hold; }
    void holdPair(bool hold);
    /// Further cells (rectangle, Shift, Ctrl); empty unless there is more than the current one.
    const std::vector<CellRef>& cells() const { return m_cells; }
    void setCells(std::vector<CellRef> cells);
    /// Nothing selected, no history: something else was opened.
    void reset();
    /// Drops what lies outside a map of rows × columns and nA × nB samples.
    void clamp(int rows, int columns, int nA, int nB);

    QAction* backAction() const { return m_back; }
    QAction* forwardAction() const { return m_forward; }
    const std::vector<State>& history() const { return m_history; }

  signals:
    void holdChanged(bool held);
    void cellChanged();
    void pairChanged();
    void cellsChanged();
    /// After either.
    void changed();

  private:
    void apply(const State& state);
    void step(int direction);
    void updateActions();

    State m_state;
    bool m_hold = false;
    std::vector<CellRef> m_cells;
    std::vector<State> m_history;
    std::size_t m_position = 0; ///< of m_state in m_history, when that isn't empty
    QAction* m_back;
    QAction* m_forward;
};

} // namespace qkov::ui
