// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/ParameterModel.h"

#include "document/Document.h"
#include "document/Words.h"

namespace qkov::ui {

ParameterModel::ParameterModel(Document* document, QObject* parent)
    : QAbstractTableModel(parent)
    , m_document(document) {
    connect(document, &Document::opened, this, &ParameterModel::rebuild);
    rebuild();
}

void ParameterModel::rebuild() {
    beginResetModel();
    m_rows.clear();
    const auto dtype = [](DType t) {
        return QString::fromLatin1(dtypeName(t).data(),
                                   static_cast<qsizetype>(dtypeName(t).size()));
    };
    if (m_document->checkpoint()) {
        const auto& c = *m_document->checkpoint();
        for (const auto& p : c.layout().parameters()) {
            const auto* t = c.find(p.name);
            m_rows.push_back(
                {p, t ? t->shape : std::vector<std::int64_t>{}, t ? dtype(t->dtype) : QString()});
        }
    } else if (const auto dump = m_document->dump()) {
        for (const auto& p : dump->layout().parameters()) {
            Row row{p, {}, {}};
            QStringList stored;
            for (const auto& task : dump->info().tasks) {
                const auto it = task.parameters.find(p.name);
                if (it == task.parameters.end()) {
                    stored << tr("missing in %1").arg(quoted(task.name));
                    continue;
                }
                row.shape = it->second.shape;
                const QString kind = it->second.storage == dump::Storage::factored ? tr("factors")
                                     : it->second.storage == dump::Storage::contributions
                                         ? tr("contributions")
                                         : tr("gradients");
                const QString text = kind + QStringLiteral(", ") + dtype(it->second.dtype);
                if (!stored.contains(text)) {
                    stored << text;
                }
            }
            row.stored = stored.join(QStringLiteral("; "));
            m_rows.push_back(std::move(row));
        }
    }
    endResetModel();
}

const model::ParameterInfo* ParameterModel::parameterAt(int row) const {
    return row >= 0 && static_cast<std::size_t>(row) < m_rows.size()
               ? &m_rows[static_cast<std::size_t>(row)].info
               : nullptr;
}

std::vector<std::int64_t> ParameterModel::shapeAt(int row) const {
    return row >= 0 && static_cast<std::size_t>(row) < m_rows.size()
               ? m_rows[static_cast<std::size_t>(row)].shape
               : std::vector<std::int64_t>{};
}

int ParameterModel::rowOf(const QString& name) const {
    for (std::size_t r = 0; r < m_rows.size(); ++r) {
        if (quoted(m_rows[r].info.name) == name) {
            return static_cast<int>(r);
        }
    }
    return -1;
}

int ParameterModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int ParameterModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : columns;
}

QVariant ParameterModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || (role != Qt::DisplayRole && role != Qt::ToolTipRole)) {
        return {};
    }
    const Row& r = m_rows[static_cast<std::size_t>(index.row())];
    switch (index.column()) {
    case Layer:
        return QString::number(r.info.layer.value);
    case Blocks: {
        QString t;
        for (const Block b : r.info.blocks) {
            t += QLatin1Char(blockName(b));
        }
        return t;
    }
    case Shape: {
        QStringList parts;
        for (const auto d : r.shape) {
            parts << QString::number(d);
        }
        return parts.isEmpty() ? QStringLiteral("–") : parts.join(QStringLiteral(" × "));
    }
    case Stored:
        return r.stored;
    case Name:
        return quoted(r.info.name);
    default:
        return {};
    }
}

QVariant ParameterModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= columns) {
        return {};
    }
    if (role == Qt::TextAlignmentRole) {
        return QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    }
    const QString names[columns] = {tr("Layer"), tr("Blocks"), tr("Shape"), tr("Stored as"),
                                    tr("Name")};
    return role == Qt::DisplayRole ? QVariant(names[section]) : QVariant();
}

} // namespace qkov::ui
