// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/ConflictModel.h"

#include "document/Document.h"
#include "document/Words.h"
#include "results/Summary.h"

#include <algorithm>

namespace qkov::ui {

ConflictModel::ConflictModel(Document* document, Scope scope, QObject* parent)
    : QAbstractTableModel(parent)
    , m_document(document)
    , m_runner(new JobRunner(this))
    , m_scope(scope) {
    m_timer.setSingleShot(true);
    m_timer.setInterval(0);
    connect(&m_timer, &QTimer::timeout, this, &ConflictModel::run);
    connect(document, &Document::scoresChanged, this, &ConflictModel::schedule);
    connect(document->selection(), &Selection::cellChanged, this, [this] {
        if (m_scope == Scope::cell) {
            schedule();
        }
    });
    connect(m_runner, &JobRunner::failed, this, [this](std::exception_ptr error) {
        m_document->setMessage(Message::of(std::move(error)));
        emit loadingChanged();
    });
}

void ConflictModel::setScope(Scope scope) {
    if (scope != m_scope) {
        m_scope = scope;
        schedule();
    }
}

void ConflictModel::setFilter(const QString& text) {
    m_query.filter = ConflictFilter::parse(text);
    schedule();
}

void ConflictModel::setActive(bool active) {
    m_active = active;
    if (active && m_stale) {
        m_timer.start();
    }
}

bool ConflictModel::loading() const {
    return m_runner->running() || m_timer.isActive();
}

void ConflictModel::schedule() {
    m_stale = true;
    if (m_active) {
        m_timer.start();
    }
}

void ConflictModel::run() {
    m_stale = false;
    const auto scores = m_document->scores();
    const auto cell = m_document->selection()->cell();
    if (!scores || (m_scope == Scope::cell && !cell)) {
        m_runner->cancel();
        if (!m_list.rows.empty() || m_scores) {
            beginResetModel();
            m_list = {};
            m_scores.reset();
            endResetModel();
        }
        emit refreshed();
        emit loadingChanged();
        return;
    }
    m_query.cell.reset();
    if (m_scope == Scope::cell) {
        // K and V of heads that share a kv head are one slice; the selected cell shows it anyway.
        m_query.cell = {static_cast<std::size_t>(cell->row),
                        static_cast<std::size_t>(cell->column)};
        m_query.block = cell->block;
    }
    m_runner->start([this, scores, query = m_query](JobContext& context) -> JobRunner::Delivery {
        context.job().stage(tr("Searching pairs").toStdString(), 0, 1);
        auto list = std::make_shared<ConflictList>(runQuery(*scores, query, [&](double done) {
            context.checkCancelled();
            context.job().advance(done);
        }));
        return [this, scores, list] {
            beginResetModel();
            m_list = std::move(*list);
            m_scores = scores;
            endResetModel();
            emit refreshed();
            emit loadingChanged();
        };
    });
    emit loadingChanged();
}

QString ConflictModel::summary() const {
    if (!m_scores) {
        return {};
    }
    const auto shown = static_cast<std::int64_t>(m_list.rows.size());
    const auto all = static_cast<std::int64_t>(m_list.matches);
    if (all > shown) {
        return tr("the %1 most conflicted of %2 pairs · filter to reach the others")
            .arg(count(shown), count(all));
    }
    return shown == 1 ? tr("1 pair") : tr("%1 pairs").arg(count(shown));
}

Selection::State ConflictModel::stateAt(int row) const {
    const auto& r = m_list.rows.at(static_cast<std::size_t>(row));
    return {CellRef{r.block, r.row, r.column},
            PairRef{static_cast<int>(r.i), static_cast<int>(r.j)}};
}

int ConflictModel::rowOf(const Selection::State& s) const {
    if (!s.pair || !s.cell || !m_scores) {
        return -1;
    }
    const auto& h = m_scores->header();
    const auto wanted = static_cast<int>(
        m_query.cell ? static_cast<std::size_t>(s.cell->column)
                     : h.representative(s.cell->block, static_cast<std::size_t>(s.cell->column)));
    const auto it = std::find_if(m_list.rows.begin(), m_list.rows.end(), [&](const ConflictRow& r) {
        return r.block == s.cell->block && r.row == s.cell->row && r.column == wanted &&
               static_cast<int>(r.i) == s.pair->i && static_cast<int>(r.j) == s.pair->j;
    });
    return it == m_list.rows.end() ? -1 : static_cast<int>(it - m_list.rows.begin());
}

int ConflictModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_list.rows.size());
}

int ConflictModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : columns;
}

QVariant ConflictModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || index.row() >= static_cast<int>(m_list.rows.size())) {
        return {};
    }
    const auto& r = m_list.rows[static_cast<std::size_t>(index.row())];
    const auto& h = m_scores->header();
    if (role == Qt::TextAlignmentRole) {
        const int c = index.column();
        return QVariant(c == LayerColumn || c == HeadColumn || c == Score
                            ? Qt::AlignRight | Qt::AlignVCenter
                            : Qt::AlignLeft | Qt::AlignVCenter);
    }
    if (role == Qt::ToolTipRole && index.column() == Score) {
        return QString::number(static_cast<double>(r.score), 'g', 9);
    }
    if (role == Qt::ToolTipRole && (index.column() == SampleA || index.column() == SampleB)) {
        const auto& s = index.column() == SampleA ? h.samplesA[r.i] : h.samplesB[r.j];
        return quoted(s.id + (s.text.empty() ? "" : "\n" + s.text.substr(0, 300)));
    }
    if (role != Qt::DisplayRole && role != Qt::ToolTipRole) {
        return {};
    }
    switch (index.column()) {
    case BlockColumn:
        return QString(QLatin1Char(blockName(r.block)));
    case LayerColumn:
        return QString::number(h.layers[r.row]);
    case HeadColumn:
        return QString::number(h.heads[r.column]);
    case SampleA:
        return quoted(h.samplesA[r.i].id);
    case SampleB:
        return quoted(h.samplesB[r.j].id);
    case GroupA:
        return quoted(h.samplesA[r.i].group);
    case GroupB:
        return quoted(h.samplesB[r.j].group);
    case Score:
        return number(static_cast<double>(r.score));
    default:
        return {};
    }
}

QVariant ConflictModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= columns) {
        return {};
    }
    if (role == Qt::TextAlignmentRole) {
        return QVariant(section == LayerColumn || section == HeadColumn || section == Score
                            ? Qt::AlignRight | Qt::AlignVCenter
                            : Qt::AlignLeft | Qt::AlignVCenter);
    }
    if (role == Qt::ToolTipRole) {
        switch (section) {
        case SampleA:
            return tr("Sample of task A");
        case SampleB:
            return tr("Sample of task B");
        case GroupA:
            return tr("Group of A's sample");
        case GroupB:
            return tr("Group of B's sample");
        default:
            return {};
        }
    }
    if (role != Qt::DisplayRole) {
        return {};
    }
    const auto* h = m_scores ? &m_scores->header() : nullptr;
    switch (section) {
    case BlockColumn:
        return tr("Block");
    case LayerColumn:
        return tr("Layer");
    case HeadColumn:
        return tr("Head");
    case SampleA:
        return h ? quoted(h->taskA) : tr("Sample A");
    case SampleB:
        return h ? quoted(h->taskB) : tr("Sample B");
    case GroupA:
        return tr("Group A");
    case GroupB:
        return tr("Group B");
    default:
        return tr("Score");
    }
}

void ConflictModel::sort(int column, Qt::SortOrder order) {
    using Sort = ConflictQuery::Sort;
    static constexpr Sort sorts[columns] = {Sort::block,   Sort::layer,   Sort::head,
                                            Sort::sampleA, Sort::sampleB, Sort::groupA,
                                            Sort::groupB,  Sort::score};
    if (column < 0 || column >= columns) {
        return;
    }
    m_query.sort = sorts[column];
    m_query.ascending = order == Qt::AscendingOrder;
    schedule();
}

} // namespace qkov::ui
