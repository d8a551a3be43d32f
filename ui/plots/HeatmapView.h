// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/ColorMap.h"
#include "plots/HeatmapData.h"

#include <QRectF>
#include <QWidget>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace qkov::ui {

/// One matrix on screen. Shows what it is given and reports what is pointed at; links between
/// views (crosshair, selection, zoom) are made by whoever owns them:
///
///     connect(view, &HeatmapView::hovered, …, each other view->setCrosshair(CellPosition{…}));
///     connect(view, &HeatmapView::left, …, each other view->setCrosshair({}));
///     connect(view, &HeatmapView::selected, document, …);   // mouse and keyboard
///     document changed → each view->setSelected(position);  // emits nothing
///
/// Colours follow the widget's palette (light, dark). Wheel zooms, dragging pans while zoomed,
/// 0 or double click on the title shows all. Arrows move the selection, Enter activates.
class HeatmapView : public QWidget {
    Q_OBJECT

  public:
    explicit HeatmapView(QWidget* parent = nullptr);
    ~HeatmapView() override;

    /// `data` must be consistent(). Keeps zoom and selection if the size is the same.
    void setData(HeatmapData data);
    const HeatmapData& data() const;
    void setScale(const ColorScale& scale);
    const ColorScale& scale() const;

    /// Cross at this cell, drawn on its own layer: one frame.
    void setCrosshair(std::optional<CellPosition> cell);
    std::optional<CellPosition> crosshair() const;
    void setSelected(std::optional<CellPosition> cell);
    std::optional<CellPosition> selected() const;

    /// Several cells at once, besides the selected one: dragging over unzoomed cells or Shift+click
    /// takes a rectangle, Ctrl+click adds or removes one, Shift+arrows grow it. Default: off.
    void setMultiSelection(bool on);
    /// Drawn with a thin outline; emits nothing.
    void setMarked(std::vector<CellPosition> cells);
    const std::vector<CellPosition>& marked() const;

    /// Glyphs of `data().marks`; default on.
    void setMarksVisible(bool on);
    /// Default: on where it costs less than half the area; off: cells fill the widget.
    void setSquareCells(bool on);
    /// Default: on.
    void setRowZeroAtTop(bool on);
    /// Titles of the axes ("Layer", "Head"); default on. Tick labels always show.
    void setAxisTitlesVisible(bool on);
    /// Text (plain or rich) of the tooltip of a cell; none: no tooltip.
    void setToolTipProvider(std::function<QString(int row, int column)> provider);
    /// What a screen reader says of a cell; none: titles, labels and value.
    void setDescriptionProvider(std::function<QString(int row, int column)> provider);
    QString describe(CellPosition cell) const;
    /// Shown in the middle while there is no data.
    void setPlaceholder(const QString& text);

    /// Visible cells, in cell units (0, 0, columns, rows: all).
    QRectF viewRange() const;
    void setViewRange(const QRectF& range);
    void resetView();

    /// Cell under a position in widget coordinates.
    std::optional<CellPosition> cellAt(const QPointF& position) const;
    /// Its rectangle in widget coordinates.
    QRectF cellRect(int row, int column) const;
    /// Nanoseconds the last hover repaint took to draw (own layer only); for tests and diagnosis.
    qint64 lastOverlayNanoseconds() const;

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  signals:
    void hovered(int row, int column);
    void left();
    void clicked(int row, int column);   ///< mouse only; `selected` follows
    void selected(int row, int column);  ///< the user selected a cell, by mouse or keyboard
    void activated(int row, int column); ///< double click, Enter
    void markedChanged();                ///< by the user
    void contextMenuRequested(int row, int column, QPoint globalPosition);
    void viewRangeChanged(const QRectF& range); ///< by the user

  protected:
    bool event(QEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

  private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace qkov::ui
