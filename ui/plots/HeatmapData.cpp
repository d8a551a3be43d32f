// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapData.h"

namespace qkov::ui {

QString HeatmapData::rowLabel(int row) const {
    return rowLabels.isEmpty() ? QString::number(row) : rowLabels.value(row);
}

QString HeatmapData::columnLabel(int column) const {
    return columnLabels.isEmpty() ? QString::number(column) : columnLabels.value(column);
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
