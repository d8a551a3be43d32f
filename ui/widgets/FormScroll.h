// SPDX-License-Identifier: GPL-3.0-or-later
// A form that asks for all its height, and scrolls where the screen has less.
#pragma once

#include <QScrollArea>

namespace qkov::ui {

class FormScroll : public QScrollArea {
    Q_OBJECT

  public:
    explicit FormScroll(QWidget* parent = nullptr);
    QSize sizeHint() const override;
};

} // namespace qkov::ui
