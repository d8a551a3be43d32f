// SPDX-License-Identifier: GPL-3.0-or-later
// Mouse, wheel and keyboard of HeatmapView.
#include "plots/HeatmapViewPrivate.h"

#include <QApplication>
#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

bool HeatmapView::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const auto cell = cellAt(help->pos());
        if (!cell || !d->toolTip) {
            QToolTip::hideText();
            event->ignore();
        } else {
            QToolTip::showText(help->globalPos(), d->toolTip(cell->row, cell->column), this,
                               cellRect(cell->row, cell->column).toAlignedRect());
        }
        return true;
    }
    if (event->type() == QEvent::ShortcutOverride) {
        // Keys of the map win over single-key shortcuts of the window while it has the focus.
        switch (static_cast<QKeyEvent*>(event)->key()) {
        case Qt::Key_0:
        case Qt::Key_Plus:
        case Qt::Key_Minus:
        case Qt::Key_Home:
        case Qt::Key_End:
            if (static_cast<QKeyEvent*>(event)->modifiers() == Qt::NoModifier) {
                event->accept();
                return true;
            }
            break;
        default:
            break;
        }
    }
    return QWidget::event(event);
}

void HeatmapView::resizeEvent(QResizeEvent*) {
    d->layoutDirty = true;
}

void HeatmapView::changeEvent(QEvent* event) {
    switch (event->type()) {
    case QEvent::PaletteChange:
    case QEvent::FontChange:
    case QEvent::StyleChange:
    case QEvent::EnabledChange:
        d->layoutDirty = true;
        update();
        break;
    default:
        break;
    }
    QWidget::changeEvent(event);
}

void HeatmapView::mouseMoveEvent(QMouseEvent* event) {
    const QPointF at = event->position();
    if (d->drag == Private::Drag::pressed &&
        (at - d->pressAt).manhattanLength() >= QApplication::startDragDistance()) {
        const bool shift = (event->modifiers() & Qt::ShiftModifier) != 0;
        const bool ctrl = (event->modifiers() & Qt::ControlModifier) != 0;
        if (d->zoomed() && !shift && !ctrl) {
            d->drag = Private::Drag::pan;
            setCursor(Qt::ClosedHandCursor);
        } else if (d->multiSelection && d->pressCell && cellAt(at) != d->pressCell) {
            d->drag = Private::Drag::rectangle;
            d->pressMarked = ctrl ? d->marked : std::vector<CellPosition>{};
        }
    }
    if (d->drag == Private::Drag::pan) {
        const double columns = (d->pressAt.x() - at.x()) / d->layout.cellWidth;
        const double rows = (d->pressAt.y() - at.y()) / d->layout.cellHeight;
        const QRectF moved = d->clampedRange(
            d->pressRange.translated(columns, d->layout.rowZeroAtTop ? rows : -rows));
        if (moved != d->range) {
            setViewRange(moved);
            emit viewRangeChanged(moved);
        }
        return;
    }
    auto cell = cellAt(at);
    if (d->drag == Private::Drag::rectangle) {
        const QRectF p = d->layout.plot;
        const QPointF inside(std::clamp(at.x(), p.left(), p.right() - 0.01),
                             std::clamp(at.y(), p.top(), p.bottom() - 0.01));
        if (const auto end = cellAt(inside)) {
            auto cells = d->pressMarked;
            for (const CellPosition c : d->rectangle(*d->pressCell, *end)) {
                if (std::find(cells.begin(), cells.end(), c) == cells.end()) {
                    cells.push_back(c);
                }
            }
            if (cells != d->marked) {
                setMarked(std::move(cells));
                emit markedChanged();
            }
        }
    }
    if (cell == d->lastHover) {
        return;
    }
    d->lastHover = cell;
    setCrosshair(cell);
    if (!cell) {
        QToolTip::hideText();
        emit left();
        return;
    }
    emit hovered(cell->row, cell->column);
    if (d->toolTip && d->drag == Private::Drag::none) {
        QToolTip::showText(event->globalPosition().toPoint(), d->toolTip(cell->row, cell->column),
                           this, cellRect(cell->row, cell->column).toAlignedRect());
    }
}

void HeatmapView::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) {
        event->ignore();
        return;
    }
    d->focusVisible = false;
    d->drag = Private::Drag::pressed;
    d->pressAt = event->position();
    d->pressRange = d->range;
    d->pressCell = cellAt(d->pressAt);
}

void HeatmapView::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) {
        event->ignore();
        return;
    }
    const auto drag = std::exchange(d->drag, Private::Drag::none);
    unsetCursor();
    const auto cell = cellAt(event->position());
    if (drag != Private::Drag::pressed || !cell || cell != d->pressCell) {
        return;
    }
    if (d->multiSelection && (event->modifiers() & Qt::ShiftModifier) != 0) {
        setMarked(d->rectangle(d->anchor.value_or(d->selected.value_or(*cell)), *cell));
        emit markedChanged();
        return;
    }
    if (d->multiSelection && (event->modifiers() & Qt::ControlModifier) != 0) {
        auto cells = d->marked;
        if (cells.empty() && d->selected && *d->selected != *cell) {
            cells.push_back(*d->selected); // the first Ctrl+click adds to the selected cell
        }
        const auto found = std::find(cells.begin(), cells.end(), *cell);
        if (found == cells.end()) {
            cells.push_back(*cell);
        } else {
            cells.erase(found);
        }
        setMarked(std::move(cells));
        d->anchor = cell;
        emit markedChanged();
        return;
    }
    if (!d->marked.empty()) {
        setMarked({});
        emit markedChanged();
    }
    d->anchor = cell;
    setSelected(cell);
    emit clicked(cell->row, cell->column);
    emit selected(cell->row, cell->column);
}

void HeatmapView::mouseDoubleClickEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) {
        return;
    }
    if (const auto cell = cellAt(event->position())) {
        emit activated(cell->row, cell->column);
    } else if (d->zoomed()) {
        resetView();
        emit viewRangeChanged(d->range);
    }
}

void HeatmapView::wheelEvent(QWheelEvent* event) {
    d->ensureLayout(this);
    const double turn = event->angleDelta().y();
    if (!d->hasCells() || turn == 0 || !d->layout.plot.contains(event->position()) ||
        (turn < 0 && !d->zoomed())) {
        event->ignore(); // a page around the map may scroll
        return;
    }
    const QPointF about = d->layout.cellUnitsAt(event->position());
    const double factor = std::pow(1.2, -turn / 120);
    QRectF r(about + (d->range.topLeft() - about) * factor, d->range.size() * factor);
    if (r.width() >= d->fullRange().width() || r.height() >= d->fullRange().height()) {
        r = d->fullRange();
    }
    r = d->clampedRange(r);
    if (r != d->range) {
        setViewRange(r);
        emit viewRangeChanged(r);
    }
    event->accept();
}

void HeatmapView::leaveEvent(QEvent*) {
    if (d->lastHover || d->crosshair) {
        d->lastHover.reset();
        setCrosshair({});
        emit left();
    }
}

void HeatmapView::keyPressEvent(QKeyEvent* event) {
    if (!d->hasCells() ||
        (event->modifiers() & (Qt::ControlModifier | Qt::AltModifier | Qt::MetaModifier)) != 0) {
        QWidget::keyPressEvent(event);
        return;
    }
    const auto zoom = [&](double factor) {
        const QPointF c = d->range.center();
        QRectF r(c + (d->range.topLeft() - c) * factor, d->range.size() * factor);
        if (r.width() >= d->fullRange().width() || r.height() >= d->fullRange().height()) {
            r = d->fullRange();
        }
        r = d->clampedRange(r);
        if (r != d->range) {
            setViewRange(r);
            emit viewRangeChanged(r);
        }
    };
    const int down = d->options.rowZeroAtTop ? 1 : -1;
    int rows = 0, columns = 0;
    const int page = std::max(1, d->data.rows / 4);
    switch (event->key()) {
    case Qt::Key_Left:
        columns = -1;
        break;
    case Qt::Key_Right:
        columns = 1;
        break;
    case Qt::Key_Up:
        rows = -down;
        break;
    case Qt::Key_Down:
        rows = down;
        break;
    case Qt::Key_PageUp:
        rows = -down * page;
        break;
    case Qt::Key_PageDown:
        rows = down * page;
        break;
    case Qt::Key_Home:
        columns = -d->data.columns;
        break;
    case Qt::Key_End:
        columns = d->data.columns;
        break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
        if (d->selected) {
            emit activated(d->selected->row, d->selected->column);
        }
        return;
    case Qt::Key_0:
        zoom(1e9);
        return;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        zoom(1 / 1.4);
        return;
    case Qt::Key_Minus:
        zoom(1.4);
        return;
    case Qt::Key_Escape:
        if (!d->marked.empty()) {
            setMarked({});
            emit markedChanged();
            return;
        }
        QWidget::keyPressEvent(event);
        return;
    default:
        QWidget::keyPressEvent(event);
        return;
    }
    d->focusVisible = true;
    const int lastRow = d->data.rows - 1, lastColumn = d->data.columns - 1;
    CellPosition cell;
    if (d->selected) {
        cell = {std::clamp(d->selected->row + rows, 0, lastRow),
                std::clamp(d->selected->column + columns, 0, lastColumn)};
    } else if (d->crosshair) {
        cell = *d->crosshair;
    } else {
        cell = {d->options.rowZeroAtTop ? 0 : lastRow, 0};
    }
    if (d->multiSelection && (event->modifiers() & Qt::ShiftModifier) != 0) {
        if (!d->anchor) {
            d->anchor = d->selected.value_or(cell);
        }
        setMarked(d->rectangle(*d->anchor, cell));
        emit markedChanged();
    } else {
        d->anchor = cell;
        if (!d->marked.empty()) {
            setMarked({});
            emit markedChanged();
        }
    }
    if (d->selected == cell) {
        update();
        return;
    }
    setSelected(cell);
    const QRectF shown = d->rangeShowing(cell);
    if (shown != d->range) {
        setViewRange(shown);
        emit viewRangeChanged(shown);
    }
    emit selected(cell.row, cell.column);
}

void HeatmapView::focusInEvent(QFocusEvent* event) {
    d->focusVisible = event->reason() != Qt::MouseFocusReason &&
                      event->reason() != Qt::ActiveWindowFocusReason &&
                      event->reason() != Qt::PopupFocusReason;
    update();
}

void HeatmapView::focusOutEvent(QFocusEvent*) {
    update();
}

void HeatmapView::contextMenuEvent(QContextMenuEvent* event) {
    auto cell = cellAt(event->pos());
    QPoint at = event->globalPos();
    if (event->reason() == QContextMenuEvent::Keyboard && d->selected) {
        cell = d->selected;
        at = mapToGlobal(cellRect(cell->row, cell->column).center().toPoint());
    }
    if (cell) {
        emit contextMenuRequested(cell->row, cell->column, at);
    } else {
        event->ignore();
    }
}

} // namespace qkov::ui
