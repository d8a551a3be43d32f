// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include <memory>
#include <optional>
#include <vector>

class QCustomPlot;

namespace qkov::ui {

/// Two values per cell, one against the other, with the diagonal where they are equal. Points are
/// named by a number of the owner's (cell index), so that selections of maps and scatters link.
class CellScatter : public QWidget {
    Q_OBJECT

  public:
    struct Point {
        int id = 0;
        double x = 0, y = 0; ///< points with a value that isn't finite are left out
    };

    explicit CellScatter(QWidget* parent = nullptr);
    ~CellScatter() override;

    void setPoints(std::vector<Point> points);
    const std::vector<Point>& points() const;
    /// Both axes are logarithmic where all values are positive and span more than two decades.
    void setAxisTitles(const QString& x, const QString& y);

    void setHighlighted(std::optional<int> id);
    void setSelected(std::optional<int> id); ///< emits nothing
    std::optional<int> selected() const;
    void setMarked(const std::vector<int>& ids);

    /// The point under (within 6 px of) a position in widget coordinates.
    std::optional<int> pointAt(const QPointF& position) const;
    /// Where a point is drawn.
    std::optional<QPointF> positionOf(int id) const;

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  signals:
    void hovered(int id);
    void left();
    void selected(int id); ///< by the user: click, or arrow keys (neighbours along x)

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

  private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace qkov::ui
