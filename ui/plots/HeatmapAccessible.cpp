// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapAccessible.h"

#include "plots/HeatmapView.h"

#include <QAccessible>
#include <QAccessibleWidget>

namespace qkov::ui {

namespace {

/// The selected cell, as a child of the map.
class CellInterface final : public QAccessibleInterface {
  public:
    explicit CellInterface(HeatmapView* view)
        : m_view(view) {}

    bool isValid() const override { return m_view->selected().has_value(); }
    QObject* object() const override { return nullptr; }
    QAccessibleInterface* childAt(int, int) const override { return nullptr; }
    QAccessibleInterface* parent() const override {
        return QAccessible::queryAccessibleInterface(m_view);
    }
    QAccessibleInterface* child(int) const override { return nullptr; }
    int childCount() const override { return 0; }
    int indexOfChild(const QAccessibleInterface*) const override { return -1; }
    QString text(QAccessible::Text kind) const override {
        const auto cell = m_view->selected();
        return cell && kind == QAccessible::Name ? m_view->describe(*cell) : QString();
    }
    void setText(QAccessible::Text, const QString&) override {}
    QRect rect() const override {
        const auto cell = m_view->selected();
        if (!cell) {
            return {};
        }
        const QRect r = m_view->cellRect(cell->row, cell->column).toAlignedRect();
        return {m_view->mapToGlobal(r.topLeft()), r.size()};
    }
    QAccessible::Role role() const override { return QAccessible::Cell; }
    QAccessible::State state() const override {
        QAccessible::State s;
        s.selectable = s.focusable = true;
        s.selected = m_view->selected().has_value();
        s.focused = m_view->hasFocus();
        return s;
    }

  private:
    HeatmapView* m_view;
};

class HeatmapInterface final : public QAccessibleWidget {
  public:
    explicit HeatmapInterface(HeatmapView* view)
        : QAccessibleWidget(view, QAccessible::Table)
        , m_view(view) {}
    ~HeatmapInterface() override {
        if (m_cell != 0) {
            QAccessible::deleteAccessibleInterface(m_cell);
        }
    }

    int childCount() const override { return m_view->selected() ? 1 : 0; }
    QAccessibleInterface* child(int index) const override {
        if (index != 0 || !m_view->selected()) {
            return nullptr;
        }
        if (m_cell == 0) {
            m_cell = QAccessible::registerAccessibleInterface(new CellInterface(m_view));
        }
        return QAccessible::accessibleInterface(m_cell);
    }
    QAccessibleInterface* focusChild() const override {
        return m_view->hasFocus() && m_view->selected() ? child(0) : nullptr;
    }
    int indexOfChild(const QAccessibleInterface* c) const override {
        return c != nullptr && c == child(0) ? 0 : -1;
    }
    QString text(QAccessible::Text kind) const override {
        const QString own = QAccessibleWidget::text(kind);
        const HeatmapData& data = m_view->data();
        if (kind == QAccessible::Name && own.isEmpty()) {
            return data.title.isEmpty() ? HeatmapView::tr("Map")
                                        : HeatmapView::tr("Map %1").arg(data.title);
        }
        const auto cell = m_view->selected();
        if (kind == QAccessible::Value) {
            return cell ? m_view->describe(*cell) : HeatmapView::tr("Nothing selected");
        }
        if (kind == QAccessible::Description && own.isEmpty()) {
            return HeatmapView::tr("%1 rows, %2 columns").arg(data.rows).arg(data.columns);
        }
        return own;
    }

  private:
    HeatmapView* m_view;
    mutable QAccessible::Id m_cell = 0;
};

QAccessibleInterface* makeInterface(const QString&, QObject* object) {
    auto* view = qobject_cast<HeatmapView*>(object);
    return view != nullptr ? new HeatmapInterface(view) : nullptr;
}

} // namespace

void installHeatmapAccessibility() {
    static const bool once = [] {
        QAccessible::installFactory(makeInterface);
        return true;
    }();
    static_cast<void>(once);
}

} // namespace qkov::ui
