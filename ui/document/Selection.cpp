// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Selection.h"

#include <QAction>
#include <QKeySequence>

namespace qkov::ui {

namespace {
constexpr std::size_t longestHistory = 200;
}

Selection::Selection(QObject* parent)
    : QObject(parent)
    , m_back(new QAction(tr("Back to the last selection"), this))
    , m_forward(new QAction(tr("Forward to the next selection"), this)) {
    m_back->setShortcut(QKeySequence(Qt::ALT | Qt::Key_Left));
    m_forward->setShortcut(QKeySequence(Qt::ALT | Qt::Key_Right));
    connect(m_back, &QAction::triggered, this, [this] { step(-1); });
    connect(m_forward, &QAction::triggered, this, [this] { step(1); });
    updateActions();
}

void Selection::setCell(std::optional<CellRef> cell) {
    if (cell != m_state.cell) {
        set({cell, m_hold ? m_state.pair : std::nullopt});
    }
}

void Selection::setPair(std::optional<PairRef> pair) {
    set({m_state.cell, pair});
}

void Selection::set(const State& state) {
    if (state == m_state) {
        return;
    }
    // A step within the way back cuts off what lay ahead, as in a browser.
    if (!m_history.empty()) {
        m_history.resize(m_position + 1);
    }
    m_history.push_back(state);
    if (m_history.size() > longestHistory) {
        m_history.erase(m_history.begin());
    }
    m_position = m_history.size() - 1;
    apply(state);
}

void Selection::amendPair(std::optional<PairRef> pair) {
    if (pair == m_state.pair) {
        return;
    }
    if (!m_history.empty()) {
        m_history[m_position].pair = pair;
    }
    apply({m_state.cell, pair});
}

void Selection::holdPair(bool hold) {
    if (hold != m_hold) {
        m_hold = hold;
        emit holdChanged(hold);
    }
}

void Selection::setCells(std::vector<CellRef> cells) {
    if (cells.size() < 2) {
        cells.clear();
    }
    if (cells != m_cells) {
        m_cells = std::move(cells);
        emit cellsChanged();
    }
}

void Selection::reset() {
    m_history.clear();
    m_position = 0;
    setCells({});
    apply({});
}

void Selection::clamp(int rows, int columns, int nA, int nB) {
    State s = m_state;
    if (s.cell && (s.cell->row >= rows || s.cell->column >= columns)) {
        s.cell.reset();
    }
    if (s.pair && (s.pair->i >= nA || s.pair->j >= nB)) {
        s.pair.reset();
    }
    std::erase_if(m_history, [&](const State& h) {
        return (h.cell && (h.cell->row >= rows || h.cell->column >= columns)) ||
               (h.pair && (h.pair->i >= nA || h.pair->j >= nB));
    });
    m_position = m_history.empty() ? 0 : std::min(m_position, m_history.size() - 1);
    if (s != m_state) {
        apply(s);
    }
    updateActions();
}

void Selection::apply(const State& state) {
    const bool cellDiffers = state.cell != m_state.cell;
    const bool pairDiffers = state.pair != m_state.pair;
    m_state = state;
    updateActions();
    if (cellDiffers) {
        emit cellChanged();
    }
    if (pairDiffers) {
        emit pairChanged();
    }
    if (cellDiffers || pairDiffers) {
        emit changed();
    }
}

void Selection::step(int direction) {
    if (direction < 0 ? m_position == 0 : m_position + 1 >= m_history.size()) {
        return;
    }
    m_position = direction < 0 ? m_position - 1 : m_position + 1;
    apply(m_history[m_position]);
}

void Selection::updateActions() {
    m_back->setEnabled(m_position > 0);
    m_forward->setEnabled(!m_history.empty() && m_position + 1 < m_history.size());
}

} // namespace qkov::ui
