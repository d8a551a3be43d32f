// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/ColorMap.h"

#include <QWidget>

#include <optional>

namespace qkov::ui {

/// Vertical colour bar with ticks of 3 significant digits and a label that says what they are.
class ColorBar : public QWidget {
    Q_OBJECT

  public:
    explicit ColorBar(QWidget* parent = nullptr);

    void setScale(const ColorScale& scale);
    const ColorScale& scale() const { return m_scale; }
    void setLabel(const QString& label);
    /// A small pointer at this value (the hovered cell's); none: no pointer.
    void setPointer(std::optional<double> value);

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  protected:
    void paintEvent(QPaintEvent* event) override;
    void changeEvent(QEvent* event) override;

  private:
    ColorScale m_scale;
    QString m_label;
    std::optional<double> m_pointer;
};

} // namespace qkov::ui
