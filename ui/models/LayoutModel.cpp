// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/LayoutModel.h"

#include "plots/Icons.h"

#include <QApplication>

#include <algorithm>
#include <string_view>

namespace qkov::ui {

namespace {
QString shapeWords(const std::vector<std::int64_t>& shape) {
    QStringList parts;
    for (const std::int64_t n : shape) {
        parts << (n == 0 ? LayoutModel::tr("any") : QString::number(n));
    }
    return parts.isEmpty() ? LayoutModel::tr("one number") : parts.join(QStringLiteral(" × "));
}

/// Layer 2 before layer 10. Quick: there may be tens of thousands of names.
bool before(const std::string& a, const std::string& b) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    std::size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
        if (!digit(a[i]) || !digit(b[j])) {
            if (a[i] != b[j]) {
                return a[i] < b[j];
            }
            ++i;
            ++j;
            continue;
        }
        const auto number = [&](const std::string& s, std::size_t& at) {
            std::size_t first = at;
            while (at < s.size() && digit(s[at])) {
                ++at;
            }
            while (first + 1 < at && s[first] == '0') {
                ++first;
            }
            return std::string_view(s).substr(first, at - first);
        };
        const auto x = number(a, i);
        const auto y = number(b, j);
        if (x != y) {
            return x.size() != y.size() ? x.size() < y.size() : x < y;
        }
    }
    return a.size() - i < b.size() - j;
}

const Palette& palette() {
    return Palette::of(QApplication::palette().color(QPalette::Window).lightness() < 128);
}
} // namespace

LayoutModel::LayoutModel(QObject* parent)
    : QAbstractTableModel(parent) {}

void LayoutModel::sort(std::vector<model::NamedShape>& parameters) {
    std::sort(parameters.begin(), parameters.end(),
              [](const auto& a, const auto& b) { return before(a.name, b.name); });
}

void LayoutModel::setParameters(std::vector<model::NamedShape> parameters) {
    beginResetModel();
    m_parameters = std::move(parameters);
    m_rows.assign(m_parameters.size(), {});
    endResetModel();
}

void LayoutModel::setCheck(const model::LayoutCheck& check) {
    std::vector<Row> rows(m_parameters.size());
    for (const auto& m : check.matches) {
        if (m.parameter >= rows.size()) {
            continue;
        }
        QStringList blocks;
        for (const Block b : m.blocks) {
            blocks << QString(QLatin1Char(blockName(b)));
        }
        Row& row = rows[m.parameter];
        row.state = m.fits ? State::fits : State::wrong;
        const QString what =
            (m.bias ? tr("%1 bias") : QStringLiteral("%1")).arg(blocks.join(QLatin1Char(' ')));
        row.use = m.fits || m.expected.empty()
                      ? tr("%1, layer %2").arg(what).arg(m.layer.value)
                      : tr("%1 needs %2").arg(what, shapeWords(m.expected));
    }
    m_rows = std::move(rows);
    if (!m_rows.empty()) {
        emit dataChanged(index(0, 0), index(rowCount() - 1, columns - 1));
    }
}

LayoutModel::State LayoutModel::stateAt(int row) const {
    return m_rows[static_cast<std::size_t>(row)].state;
}

int LayoutModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_parameters.size());
}

int LayoutModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : columns;
}

QVariant LayoutModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || index.row() >= rowCount()) {
        return {};
    }
    const auto& p = m_parameters[static_cast<std::size_t>(index.row())];
    const Row& row = m_rows[static_cast<std::size_t>(index.row())];
    if (role == Qt::DisplayRole || role == Qt::ToolTipRole) {
        switch (index.column()) {
        case Name:
            return QString::fromStdString(p.name);
        case Shape:
            return shapeWords(p.shape);
        case Use:
            return row.use;
        }
    }
    if (role == Qt::DecorationRole && index.column() == Use && row.state != State::free) {
        return row.state == State::fits ? icon(QStringLiteral("check"), palette().good)
                                        : icon(QStringLiteral("error"), palette().error);
    }
    if (role == Qt::ForegroundRole && index.column() == Use && row.state == State::wrong) {
        return palette().error;
    }
    return {};
}

QVariant LayoutModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal) {
        return {};
    }
    if (role == Qt::TextAlignmentRole) {
        return QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    }
    if (role != Qt::DisplayRole) {
        return {};
    }
    switch (section) {
    case Name:
        return tr("Parameter");
    case Shape:
        return tr("Shape");
    case Use:
        return tr("Taken for");
    }
    return {};
}

void LayoutFilter::setWords(const QString& text) {
    m_words = text.split(QLatin1Char(' '), Qt::SkipEmptyParts);
    invalidateFilter();
}

void LayoutFilter::setWhich(Which which) {
    m_which = which;
    invalidateFilter();
}

bool LayoutFilter::filterAcceptsRow(int row, const QModelIndex& parent) const {
    const auto* source = static_cast<const LayoutModel*>(sourceModel());
    const auto state = source->stateAt(row);
    if ((m_which == assigned && state == LayoutModel::State::free) ||
        (m_which == unassigned && state != LayoutModel::State::free) ||
        (m_which == wrong && state != LayoutModel::State::wrong)) {
        return false;
    }
    const QString text =
        source->index(row, LayoutModel::Name, parent).data().toString() + QLatin1Char(' ') +
        source->index(row, LayoutModel::Shape, parent).data().toString() + QLatin1Char(' ') +
        source->index(row, LayoutModel::Use, parent).data().toString();
    return std::all_of(m_words.begin(), m_words.end(),
                       [&](const QString& w) { return text.contains(w, Qt::CaseInsensitive); });
}

} // namespace qkov::ui
