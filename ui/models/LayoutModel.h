// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/LayoutDraft.h"

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>

namespace qkov::ui {

/// All parameters of a model with what a layout in the making takes them for.
class LayoutModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { Name, Shape, Use };
    static constexpr int columns = 3;
    enum class State { free, fits, wrong };

    explicit LayoutModel(QObject* parent = nullptr);
    /// By name, numbers in it as numbers: layer 2 before layer 10.
    static void sort(std::vector<model::NamedShape>& parameters);
    void setParameters(std::vector<model::NamedShape> parameters);
    void setCheck(const model::LayoutCheck& check);
    const std::vector<model::NamedShape>& parameters() const { return m_parameters; }
    State stateAt(int row) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

  private:
    struct Row {
        State state = State::free;
        QString use;
    };
    std::vector<model::NamedShape> m_parameters;
    std::vector<Row> m_rows;
};

/// Rows whose name or use holds all words; all, assigned, or free ones only.
class LayoutFilter : public QSortFilterProxyModel {
    Q_OBJECT

  public:
    enum Which { all, assigned, unassigned, wrong };
    using QSortFilterProxyModel::QSortFilterProxyModel;
    void setWords(const QString& text);
    void setWhich(Which which);

  protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override;

  private:
    QStringList m_words;
    Which m_which = all;
};

} // namespace qkov::ui
