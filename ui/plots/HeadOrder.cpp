// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeadOrder.h"

#include <QCoreApplication>

#include <algorithm>
#include <numeric>

namespace qkov::ui {

HeadOrder::HeadOrder(const HeatmapData& by, HeadSort sort, bool lowestFirst) {
    if (sort == HeadSort::number) {
        return;
    }
    m_columns = by.columns;
    const auto columns = static_cast<std::size_t>(by.columns);
    m_original.resize(by.values.size());
    m_shown.resize(by.values.size());
    for (int row = 0; row < by.rows; ++row) {
        const auto at = static_cast<std::size_t>(row) * columns;
        const auto begin = m_original.begin() + static_cast<std::ptrdiff_t>(at);
        std::iota(begin, begin + by.columns, 0);
        const auto before = [&](int a, int b) {
            if (sort == HeadSort::type && !by.marks.empty()) {
                // Heads without a mark come last.
                const char16_t ma = by.marks[by.index(row, a)].unicode();
                const char16_t mb = by.marks[by.index(row, b)].unicode();
                if (ma != mb) {
                    return static_cast<char16_t>(ma - 1) < static_cast<char16_t>(mb - 1);
                }
            }
            const bool hasA = by.state(row, a) == HeatmapData::State::ok;
            const bool hasB = by.state(row, b) == HeatmapData::State::ok;
            if (hasA != hasB) {
                return hasA;
            }
            if (!hasA || by.value(row, a) == by.value(row, b)) {
                return false; // stable: by number
            }
            return (by.value(row, a) < by.value(row, b)) == lowestFirst;
        };
        std::stable_sort(begin, begin + by.columns, before);
        for (std::size_t c = 0; c < columns; ++c) {
            m_shown[at + static_cast<std::size_t>(m_original[at + c])] = static_cast<int>(c);
        }
    }
}

CellPosition HeadOrder::original(CellPosition p) const {
    return natural()
               ? p
               : CellPosition{p.row,
                              m_original[static_cast<std::size_t>(p.row * m_columns + p.column)]};
}

CellPosition HeadOrder::shown(CellPosition p) const {
    return natural() ? p
                     : CellPosition{
                           p.row, m_shown[static_cast<std::size_t>(p.row * m_columns + p.column)]};
}

HeatmapData HeadOrder::apply(HeatmapData data) const {
    if (natural() || data.values.size() != m_original.size() || data.columns != m_columns) {
        return data;
    }
    HeatmapData sorted = data;
    const auto move = [&](auto& to, const auto& from) {
        if (!from.empty()) {
            for (int r = 0; r < data.rows; ++r) {
                for (int c = 0; c < data.columns; ++c) {
                    to[data.index(r, c)] = from[data.index(r, m_original[data.index(r, c)])];
                }
            }
        }
    };
    move(sorted.values, data.values);
    move(sorted.states, data.states);
    move(sorted.marks, data.marks);
    move(sorted.significant, data.significant);
    for (auto& cells : sorted.outlines) {
        for (CellPosition& c : cells) {
            c = shown(c);
        }
    }
    sorted.columnLabels.clear();
    for (int c = 1; c <= data.columns; ++c) {
        sorted.columnLabels << QString::number(c);
    }
    sorted.columnTitle = QCoreApplication::translate("qkov::ui::Heatmap", "Rank in layer");
    sorted.columnBrackets.clear();
    if (!data.columnMeans.empty()) {
        sorted.addMargins();
    }
    return sorted;
}

} // namespace qkov::ui
