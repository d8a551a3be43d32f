// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapData.h"

#include <limits>

namespace qkov::ui {

QString HeatmapData::rowLabel(int row) const {
    return rowLabels.isEmpty() ? QString::number(row) : rowLabels.value(row);
}

QString HeatmapData::columnLabel(int column) const {
    return columnLabels.isEmpty() ? QString::number(column) : columnLabels.value(column);
}

void HeatmapData::addMargins() {
    const auto meanOf = [this](int count, auto&& cell) {
        double sum = 0;
        int n = 0;
        for (int k = 0; k < count; ++k) {
            const CellPosition p = cell(k);
            if (state(p.row, p.column) == State::ok) {
                sum += value(p.row, p.column);
                ++n;
            }
        }
        return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
    };
    rowMeans.clear();
    columnMeans.clear();
    for (int r = 0; r < rows; ++r) {
        rowMeans.push_back(meanOf(columns, [r](int k) { return CellPosition{r, k}; }));
    }
    for (int c = 0; c < columns; ++c) {
        columnMeans.push_back(meanOf(rows, [c](int k) { return CellPosition{k, c}; }));
    }
}

bool HeatmapData::consistent() const {
    if (rows < 0 || columns < 0) {
        return false;
    }
    const auto cells = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    const auto fits = [](std::size_t size, std::size_t wanted) {
        return size == 0 || size == wanted;
    };
    const auto inside = [](const std::vector<Bracket>& list, int count) {
        for (const Bracket& b : list) {
            if (b.first < 0 || b.last < b.first || b.last >= count) {
                return false;
            }
        }
        return true;
    };
    return values.size() == cells && fits(states.size(), cells) && fits(marks.size(), cells) &&
           fits(significant.size(), cells) &&
           fits(rowMeans.size(), static_cast<std::size_t>(rows)) &&
           fits(columnMeans.size(), static_cast<std::size_t>(columns)) &&
           fits(static_cast<std::size_t>(rowLabels.size()), static_cast<std::size_t>(rows)) &&
           fits(static_cast<std::size_t>(columnLabels.size()), static_cast<std::size_t>(columns)) &&
           inside(columnBrackets, columns) && inside(rowBrackets, rows) &&
           inside(columnBands, columns) && inside(rowBands, rows);
}

QChar headTypeMark(const QString& type) {
    if (type == QLatin1String("induction")) {
        return QChar(0x25B8); // ▸
    }
    if (type == QLatin1String("previous_token")) {
        return QChar(0x2190); // ←
    }
    if (type == QLatin1String("same_token")) {
        return u'=';
    }
    if (type == QLatin1String("positional")) {
        return u'#';
    }
    if (type == QLatin1String("content")) {
        return u'~';
    }
    return {};
}

QString headTypeLabel(const QString& type) {
    QString text = type;
    return text.replace(u'_', u' ');
}

} // namespace qkov::ui
