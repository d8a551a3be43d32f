// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/HeadLayout.h"

#include <QAbstractTableModel>

namespace qkov::ui {

class Document;

/// Attention matrices of the open model or dump: layer, blocks, shape, how they are stored, name.
class ParameterModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { Layer, Blocks, Shape, Stored, Name };
    static constexpr int columns = 5;

    explicit ParameterModel(Document* document, QObject* parent = nullptr);
    const model::ParameterInfo* parameterAt(int row) const;
    std::vector<std::int64_t> shapeAt(int row) const;
    int rowOf(const QString& name) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

  private:
    struct Row {
        model::ParameterInfo info;
        std::vector<std::int64_t> shape;
        QString stored;
    };
    void rebuild();
    Document* m_document;
    std::vector<Row> m_rows;
};

} // namespace qkov::ui
