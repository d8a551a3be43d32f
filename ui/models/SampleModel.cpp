// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/SampleModel.h"

#include "document/Document.h"
#include "document/Words.h"

#include <cmath>

namespace qkov::ui {

namespace {
/// Not more than `most` bytes, and no half of a character.
QString startOf(const std::string& text, std::size_t most) {
    std::size_t n = std::min(text.size(), most);
    while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xC0U) == 0x80U) {
        --n;
    }
    return QString::fromUtf8(text.data(), static_cast<qsizetype>(n));
}
} // namespace

SampleModel::SampleModel(Document* document, QObject* parent)
    : QAbstractTableModel(parent)
    , m_document(document) {
    connect(document, &Document::opened, this, &SampleModel::rebuild);
    rebuild();
}

void SampleModel::rebuild() {
    beginResetModel();
    m_rows.clear();
    m_owner.reset();
    if (const auto dump = m_document->dump()) {
        m_owner = dump;
        for (const auto& t : dump->info().tasks) {
            for (const auto& s : t.samples) {
                m_rows.push_back({quoted(t.name), &s});
            }
        }
    } else if (const auto scores = m_document->scores()) {
        m_owner = scores;
        const auto& h = scores->header();
        for (const auto& s : h.samplesA) {
            m_rows.push_back({quoted(h.taskA), &s});
        }
        if (h.taskA != h.taskB) {
            for (const auto& s : h.samplesB) {
                m_rows.push_back({quoted(h.taskB), &s});
            }
        }
    }
    endResetModel();
}

const dump::SampleInfo* SampleModel::sampleAt(int row) const {
    return row >= 0 && static_cast<std::size_t>(row) < m_rows.size()
               ? m_rows[static_cast<std::size_t>(row)].sample
               : nullptr;
}

int SampleModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int SampleModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : columns;
}

QVariant SampleModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || index.row() >= static_cast<int>(m_rows.size())) {
        return {};
    }
    const Row& r = m_rows[static_cast<std::size_t>(index.row())];
    const auto& s = *r.sample;
    if (role == Qt::TextAlignmentRole) {
        return QVariant(index.column() == Tokens || index.column() == Loss
                            ? Qt::AlignRight | Qt::AlignVCenter
                            : Qt::AlignLeft | Qt::AlignVCenter);
    }
    if (role == FullTextRole) {
        return quoted(s.text);
    }
    if (role == SortRole) {
        if (index.column() == Tokens) {
            return s.tokens;
        }
        if (index.column() == Loss) {
            return std::isnan(s.loss) ? -1.0 : static_cast<double>(s.loss);
        }
    }
    if (role != Qt::DisplayRole && role != Qt::ToolTipRole && role != SortRole) {
        return {};
    }
    switch (index.column()) {
    case TaskColumn:
        return r.task;
    case Id:
        return quoted(s.id);
    case Group:
        return quoted(s.group);
    case Tokens:
        return s.tokens > 0 ? count(s.tokens) : QStringLiteral("–");
    case Loss:
        return number(static_cast<double>(s.loss));
    case Text:
        // One line; the row shows a start only, however long the text is.
        return startOf(s.text, 400).simplified();
    default:
        return {};
    }
}

QVariant SampleModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal) {
        return {};
    }
    if (role == Qt::TextAlignmentRole) {
        return QVariant(section == Tokens || section == Loss ? Qt::AlignRight | Qt::AlignVCenter
                                                             : Qt::AlignLeft | Qt::AlignVCenter);
    }
    if (role != Qt::DisplayRole) {
        return {};
    }
    switch (section) {
    case TaskColumn:
        return tr("Task");
    case Id:
        return tr("Id");
    case Group:
        return tr("Group");
    case Tokens:
        return tr("Tokens");
    case Loss:
        return tr("Loss");
    case Text:
        return tr("Text");
    default:
        return {};
    }
}

SampleFilter::SampleFilter(QObject* parent)
    : QSortFilterProxyModel(parent) {
    setSortRole(SampleModel::SortRole);
    setSortCaseSensitivity(Qt::CaseInsensitive);
}

void SampleFilter::setWords(const QString& text) {
    m_words = text.split(QLatin1Char(' '), Qt::SkipEmptyParts);
    invalidateFilter();
}

void SampleFilter::setTask(const QString& task) {
    m_task = task;
    invalidateFilter();
}

bool SampleFilter::filterAcceptsRow(int row, const QModelIndex& parent) const {
    const auto* m = sourceModel();
    const auto text = [&](int column, int role = Qt::DisplayRole) {
        return m->index(row, column, parent).data(role).toString();
    };
    if (!m_task.isEmpty() && text(SampleModel::TaskColumn) != m_task) {
        return false;
    }
    if (m_words.isEmpty()) {
        return true;
    }
    const QString all = text(SampleModel::TaskColumn) + QLatin1Char('\n') + text(SampleModel::Id) +
                        QLatin1Char('\n') + text(SampleModel::Group) + QLatin1Char('\n') +
                        text(SampleModel::Id, SampleModel::FullTextRole);
    return std::all_of(m_words.begin(), m_words.end(),
                       [&](const QString& w) { return all.contains(w, Qt::CaseInsensitive); });
}

} // namespace qkov::ui
