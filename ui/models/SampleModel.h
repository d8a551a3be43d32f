// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "dump/DumpInfo.h"

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>

#include <memory>

namespace qkov::ui {

class Document;

/// All samples of the open dump (or of the results): task, id, group, tokens, loss, text.
class SampleModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { TaskColumn, Id, Group, Tokens, Loss, Text };
    static constexpr int columns = 6;
    enum Roles { SortRole = Qt::UserRole, FullTextRole };

    explicit SampleModel(Document* document, QObject* parent = nullptr);
    const dump::SampleInfo* sampleAt(int row) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

  private:
    struct Row {
        QString task;
        const dump::SampleInfo* sample;
    };
    void rebuild();

    Document* m_document;
    std::shared_ptr<const void> m_owner; ///< keeps the samples alive
    std::vector<Row> m_rows;
};

/// Rows that contain every word of the text, in any column, and belong to the task.
class SampleFilter : public QSortFilterProxyModel {
    Q_OBJECT

  public:
    explicit SampleFilter(QObject* parent = nullptr);
    void setWords(const QString& text);
    void setTask(const QString& task); ///< empty: all

  protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override;

  private:
    QStringList m_words;
    QString m_task;
};

} // namespace qkov::ui
