// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Selection.h"
#include "models/ConflictQuery.h"

#include <QAbstractTableModel>
#include <QTimer>

#include <memory>

namespace qkov::ui {

class Document;
class JobRunner;

/// Pairs of samples by score, of the selected cell or of all cells. Filtered and sorted off the UI
/// thread; the former rows stay until the new ones are there.
class ConflictModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum class Scope { cell, all };
    enum Column { BlockColumn, LayerColumn, HeadColumn, SampleA, SampleB, GroupA, GroupB, Score };
    static constexpr int columns = 8;

    ConflictModel(Document* document, Scope scope, QObject* parent = nullptr);

    Scope scope() const { return m_scope; }
    void setScope(Scope scope);
    void setFilter(const QString& text);
    const ConflictFilter& filter() const { return m_query.filter; }
    /// While inactive (its page is hidden) nothing is read; catches up when active again.
    void setActive(bool active);

    const std::vector<ConflictRow>& rows() const { return m_list.rows; }
    /// Matching pairs; more than rowCount() when only the most conflicted are listed.
    std::uint64_t matches() const { return m_list.matches; }
    bool loading() const;
    /// "1 200 of 9 216 pairs"…
    QString summary() const;
    Selection::State stateAt(int row) const;
    /// Row that shows this, or -1.
    int rowOf(const Selection::State& state) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    void sort(int column, Qt::SortOrder order) override;

  signals:
    void loadingChanged();
    /// New rows are there (after modelReset).
    void refreshed();

  private:
    void schedule();
    void run();

    Document* m_document;
    JobRunner* m_runner;
    QTimer m_timer;
    Scope m_scope;
    bool m_active = true;
    bool m_stale = true;
    ConflictQuery m_query;
    std::shared_ptr<const engine::Scores> m_scores; ///< that m_list is of
    ConflictList m_list;
};

} // namespace qkov::ui
