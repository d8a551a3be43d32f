// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/LayoutDraft.h"

#include <QObject>

class QComboBox;
class QGridLayout;
class QLabel;
class QLineEdit;

namespace qkov::ui {

class StatusLine;

/// One matrix of the layout: its blocks, the pattern of its name, how it is stored, and what that
/// matches.
class LayoutPartRow : public QObject {
    Q_OBJECT

  public:
    /// Takes two lines of the grid.
    LayoutPartRow(const QString& blocks, const char* name, QGridLayout* grid, QWidget* parent);

    void setVisible(bool visible);
    void setBlocks(const QString& blocks);
    void setPart(const model::LayoutPart& part);
    /// @param biases take the biases of the same name too
    model::LayoutPart part(bool biases) const;
    void setCheck(const model::LayoutCheck::Part& check,
                  const std::vector<std::int64_t>& exampleShape);
    QLineEdit* pattern() const { return m_pattern; }
    QComboBox* orientation() const { return m_orientation; }
    StatusLine* status() const { return m_status; }

  signals:
    void changed();

  private:
    QLabel* m_blocks;
    QLineEdit* m_pattern;
    QComboBox* m_orientation;
    StatusLine* m_status;
    model::LayoutPart m_given; ///< its bias holds as long as the pattern is not edited
};

} // namespace qkov::ui
