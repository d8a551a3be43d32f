// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "model/HeadLayout.h"

#include <QWidget>

#include <optional>

namespace qkov::ui {

/// A matrix as a rectangle of its proportions, with one head's rows or columns filled.
class SlicePicture : public QWidget {
    Q_OBJECT

  public:
    explicit SlicePicture(QWidget* parent = nullptr);
    void clear(const QString& hint);
    void setSlice(std::int64_t rows, std::int64_t columns,
                  const std::optional<model::HeadSlice>& slice, const QString& title);
    /// "rows 64–127 of 768"; empty when nothing is shown.
    QString words() const;
    QSize sizeHint() const override { return {220, 160}; }
    QSize minimumSizeHint() const override { return {170, 120}; }

  protected:
    void paintEvent(QPaintEvent* event) override;

  private:
    std::int64_t m_rows = 0, m_columns = 0;
    std::optional<model::HeadSlice> m_slice;
    QString m_title;
    QString m_hint;
};

} // namespace qkov::ui
