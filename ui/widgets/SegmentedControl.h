// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QButtonGroup;
class QHBoxLayout;
class QToolButton;

namespace qkov::ui {

/// A few exclusive choices in one row: [Behavioral│Structural│Hybrid].
class SegmentedControl : public QWidget {
    Q_OBJECT

  public:
    explicit SegmentedControl(QWidget* parent = nullptr);
    void addSegment(int id, const QString& text, const QString& toolTip = {});
    int current() const;
    /// Emits nothing. -1: none.
    void setCurrent(int id);
    void setSegmentEnabled(int id, bool enabled, const QString& toolTip);
    QToolButton* button(int id) const;

  signals:
    void chosen(int id); ///< by the user

  private:
    QHBoxLayout* m_layout;
    QButtonGroup* m_group;
};

} // namespace qkov::ui
