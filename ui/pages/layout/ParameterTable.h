// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Index.h"

#include <QWidget>

#include <array>
#include <optional>

class QPushButton;
class QTableView;

namespace qkov::ui {

class LayoutFilter;
class LayoutModel;

/// All parameters of a model, searched and filtered, and buttons that take the selected one for a
/// block.
class ParameterTable : public QWidget {
    Q_OBJECT

  public:
    explicit ParameterTable(LayoutModel* model, QWidget* parent = nullptr);
    QTableView* view() const { return m_view; }
    /// Index into the model's parameters; none: nothing is selected.
    std::optional<std::size_t> currentParameter() const;

  signals:
    void taken(qkov::Block block);

  private:
    LayoutFilter* m_filter;
    QTableView* m_view;
    std::array<QPushButton*, 4> m_assign{};
};

} // namespace qkov::ui
