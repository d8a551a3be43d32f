// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapView.h"

#include "base/Numbers.h"
#include "plots/HeatmapAccessible.h"
#include "plots/HeatmapViewPrivate.h"

#include <QAccessible>
#include <QFontMetricsF>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

HeatmapView::HeatmapView(QWidget* parent)
    : QWidget(parent)
    , d(std::make_unique<Private>()) {
    installHeatmapAccessibility();
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

HeatmapView::~HeatmapView() = default;

void HeatmapView::setData(HeatmapData data) {
    Q_ASSERT(data.consistent());
    const bool sameSize = data.rows == d->data.rows && data.columns == d->data.columns;
    d->data = std::move(data);
    if (!sameSize) {
        d->range = d->fullRange();
        d->crosshair.reset();
        d->lastHover.reset();
        d->selected.reset();
        d->anchor.reset();
        d->marked.clear();
        d->drag = Private::Drag::none;
    }
    d->layoutDirty = true;
    update();
}

const HeatmapData& HeatmapView::data() const {
    return d->data;
}

void HeatmapView::setScale(const ColorScale& scale) {
    if (scale != d->scale) {
        d->scale = scale;
        d->baseDirty = true;
        update();
    }
}

const ColorScale& HeatmapView::scale() const {
    return d->scale;
}

void HeatmapView::setCrosshair(std::optional<CellPosition> cell) {
    if (cell != d->crosshair) {
        d->crosshair = cell;
        update(); // the map itself is cached
    }
}

std::optional<CellPosition> HeatmapView::crosshair() const {
    return d->crosshair;
}

void HeatmapView::setSelected(std::optional<CellPosition> cell) {
    if (cell && !d->data.contains(*cell)) {
        cell.reset();
    }
    if (cell == d->selected) {
        return;
    }
    d->selected = cell;
    if (QAccessible::isActive()) {
        QAccessibleEvent event(this, cell ? QAccessible::Selection : QAccessible::SelectionRemove);
        if (cell) {
            event.setChild(0);
        }
        QAccessible::updateAccessibility(&event);
        if (cell && hasFocus()) {
            QAccessibleEvent focus(this, QAccessible::Focus);
            focus.setChild(0);
            QAccessible::updateAccessibility(&focus);
        }
    }
    update();
}

std::optional<CellPosition> HeatmapView::selected() const {
    return d->selected;
}

void HeatmapView::setMultiSelection(bool on) {
    d->multiSelection = on;
}

void HeatmapView::setMarked(std::vector<CellPosition> cells) {
    if (cells != d->marked) {
        d->marked = std::move(cells);
        update();
    }
}

const std::vector<CellPosition>& HeatmapView::marked() const {
    return d->marked;
}

void HeatmapView::setMarksVisible(bool on) {
    d->options.marks = on;
    d->baseDirty = true;
    update();
}

void HeatmapView::setSquareCells(bool on) {
    d->options.squareCells = on;
    d->layoutDirty = true;
    update();
}

void HeatmapView::setRowZeroAtTop(bool on) {
    d->options.rowZeroAtTop = on;
    d->layoutDirty = true;
    update();
}

void HeatmapView::setAxisTitlesVisible(bool on) {
    d->options.axisTitles = on;
    d->layoutDirty = true;
    update();
}

void HeatmapView::setToolTipProvider(std::function<QString(int row, int column)> provider) {
    d->toolTip = std::move(provider);
}

void HeatmapView::setDescriptionProvider(std::function<QString(int row, int column)> provider) {
    d->description = std::move(provider);
}

QString HeatmapView::describe(CellPosition cell) const {
    if (!d->data.contains(cell)) {
        return {};
    }
    if (d->description) {
        return d->description(cell.row, cell.column);
    }
    const auto named = [](const QString& axis, const QString& label, const QString& fallback) {
        return QStringLiteral("%1 %2").arg(axis.isEmpty() ? fallback : axis, label);
    };
    QString value;
    switch (d->data.state(cell.row, cell.column)) {
    case HeatmapData::State::ok:
        value = QString::fromStdString(formatNumber(d->data.value(cell.row, cell.column)));
        break;
    case HeatmapData::State::missing:
        value = tr("missing");
        break;
    case HeatmapData::State::notComputed:
        value = tr("not computed");
        break;
    }
    return QStringLiteral("%1, %2: %3")
        .arg(named(d->data.rowTitle, d->data.rowLabel(cell.row), tr("Row")),
             named(d->data.columnTitle, d->data.columnLabel(cell.column), tr("Column")), value);
}

void HeatmapView::setPlaceholder(const QString& text) {
    d->placeholder = text;
    update();
}

QRectF HeatmapView::viewRange() const {
    return d->range;
}

void HeatmapView::setViewRange(const QRectF& range) {
    const QRectF clamped = d->clampedRange(range);
    if (clamped != d->range) {
        d->range = clamped;
        d->layoutDirty = true;
        update();
    }
}

void HeatmapView::resetView() {
    setViewRange(d->fullRange());
}

std::optional<CellPosition> HeatmapView::cellAt(const QPointF& position) const {
    d->ensureLayout(this);
    return d->layout.cellAt(position, d->data);
}

QRectF HeatmapView::cellRect(int row, int column) const {
    d->ensureLayout(this);
    return d->layout.cellRect(row, column);
}

qint64 HeatmapView::lastOverlayNanoseconds() const {
    return d->overlayNanoseconds;
}

QSize HeatmapView::sizeHint() const {
    const int line = fontMetrics().height();
    return {std::clamp(d->data.columns, 12, 40) * 14 + 3 * line,
            std::clamp(d->data.rows, 12, 40) * 14 + 4 * line};
}

QSize HeatmapView::minimumSizeHint() const {
    const int line = fontMetrics().height();
    return {4 * line + 30, 4 * line + 30};
}

QRectF HeatmapView::Private::clampedRange(QRectF r) const {
    const QRectF full = fullRange();
    if (full.isEmpty() || r.isEmpty()) {
        return full;
    }
    // Two cells of the shorter side fill the map at most; both sides keep their proportion.
    const double least = std::min(2.0, std::min(full.width(), full.height()));
    const double grow = std::max({1.0, least / r.width(), least / r.height()});
    r.setSize(r.size() * grow);
    r.setWidth(std::min(r.width(), full.width()));
    r.setHeight(std::min(r.height(), full.height()));
    r.moveLeft(std::clamp(r.left(), 0.0, full.width() - r.width()));
    r.moveTop(std::clamp(r.top(), 0.0, full.height() - r.height()));
    return r;
}

QRectF HeatmapView::Private::rangeShowing(CellPosition cell) const {
    QRectF r = range;
    r.moveLeft(std::clamp(r.left(), cell.column + 1 - r.width(), double(cell.column)));
    r.moveTop(std::clamp(r.top(), cell.row + 1 - r.height(), double(cell.row)));
    return clampedRange(r);
}

std::vector<CellPosition> HeatmapView::Private::rectangle(CellPosition a, CellPosition b) const {
    std::vector<CellPosition> cells;
    for (int row = std::min(a.row, b.row); row <= std::max(a.row, b.row); ++row) {
        for (int column = std::min(a.column, b.column); column <= std::max(a.column, b.column);
             ++column) {
            cells.push_back({row, column});
        }
    }
    return cells;
}

} // namespace qkov::ui
