// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractItemModel>
#include <QString>

#include <memory>
#include <vector>

namespace qkov::ui {

class Document;

/// What the open file holds: model, tasks, Fisher sets, head types, and what is missing.
class DataTreeModel : public QAbstractItemModel {
    Q_OBJECT

  public:
    enum Roles {
        IconNameRole = Qt::UserRole, ///< see plots/Icons.h; empty: none
        KindRole,                    ///< Kind
        ParameterRole,               ///< name of a parameter, for Kind::parameter
        TaskRole,                    ///< name of a task, for Kind::task
    };
    enum Kind { Plain, Model, Layer, Parameter, Task, Fisher, Types, Missing };
    enum Column { Name, Value };

    explicit DataTreeModel(Document* document, QObject* parent = nullptr);
    ~DataTreeModel() override;

    /// Lines of the Missing branch.
    int missingCount() const;

    QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
    QModelIndex parent(const QModelIndex& index) const override;
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

  private:
    struct Node;
    void rebuild();
    void addModel(Node& root);
    void addTasks(Node& root);
    void addFisher(Node& root);
    void addTypes(Node& root);
    void addMissing(Node& root);
    const Node* nodeOf(const QModelIndex& index) const;

    Document* m_document;
    std::unique_ptr<Node> m_root;
    QStringList m_shownMissing;
};

} // namespace qkov::ui
