// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Index.h"

#include <QWidget>

#include <array>
#include <optional>

namespace qkov::ui {

/// Four bars with their numbers, Q to O: block means, or one pair's four scores.
class BlockBars : public QWidget {
    Q_OBJECT

  public:
    explicit BlockBars(QWidget* parent = nullptr);
    /// NaN: no bar, "–".
    void setValues(const std::array<double, 4>& values);
    void clear();
    const std::array<double, 4>& values() const { return m_values; }
    /// Drawn stronger: the most conflicted block, the selected one.
    void setEmphasis(std::optional<Block> block);
    /// One beside the other instead of four lines.
    void setCompact(bool compact);

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  signals:
    void clicked(qkov::Block block);

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;

  private:
    QRectF placeOf(int k) const;
    std::array<double, 4> m_values{};
    std::optional<Block> m_emphasis;
    bool m_compact = false;
};

} // namespace qkov::ui
