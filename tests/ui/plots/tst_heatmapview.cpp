// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/HeatmapView.h"
#include "ui/plots/SampleMaps.h"

#include <QAccessible>
#include <QSignalSpy>
#include <QTest>
#include <QToolTip>
#include <QWheelEvent>

using namespace qkov::ui;
using qkov::ui::testing::fitted;
using qkov::ui::testing::sampleMap;

namespace {

/// A shown view of the sample map.
struct Shown {
    HeatmapView view;
    Shown(int rows, int columns, QSize size = {400, 400}) {
        HeatmapData data = sampleMap(rows, columns, QStringLiteral("O"));
        view.setScale(fitted(data));
        view.setData(std::move(data));
        view.resize(size);
        view.show();
        if (!QTest::qWaitForWindowExposed(&view)) {
            qFatal("no window");
        }
    }
    QPoint centre(int row, int column) { return view.cellRect(row, column).center().toPoint(); }
    void move(QPoint p) { QTest::mouseMove(&view, p); }
};

} // namespace

class TestHeatmapView : public QObject {
    Q_OBJECT

  private slots:
    void cellsTileTheMapAndAreFound();
    void cellsShowTheirColours();
    void rowZeroAtBottom();
    void hoverReportsAndShowsCrosshair();
    void hoverIsFast();
    void toolTipFollows();
    void clickSelects();
    void setSelectedEmitsNothing();
    void arrowKeys();
    void zoomAndPan();
    void multiSelection();
    void sizeChangeForgets();
    void accessibleCell();
    void contextMenu();
    void overlayLeavesTheMapAlone();
};

void TestHeatmapView::cellsTileTheMapAndAreFound() {
    for (const QSize size : {QSize(400, 400), QSize(613, 287), QSize(90, 220)}) {
        Shown s(12, 17, size);
        for (int r = 0; r < 12; ++r) {
            for (int c = 0; c < 17; ++c) {
                const QRectF cell = s.view.cellRect(r, c);
                QVERIFY(QRectF(s.view.rect()).contains(cell));
                QVERIFY(s.view.cellAt(cell.center()) == (CellPosition{r, c}));
                QVERIFY(s.view.cellAt(cell.topLeft() + QPointF(0.01, 0.01)) ==
                        (CellPosition{r, c}));
                QVERIFY(s.view.cellAt(cell.bottomRight() - QPointF(0.01, 0.01)) ==
                        (CellPosition{r, c}));
                if (c > 0) {
                    QCOMPARE(s.view.cellRect(r, c - 1).right(), cell.left());
                }
                if (r > 0) {
                    QCOMPARE(s.view.cellRect(r - 1, c).bottom(), cell.top());
                }
            }
        }
        QVERIFY(!s.view.cellAt(QPointF(1, 1)));
        QVERIFY(!s.view.cellAt(s.view.cellRect(0, 16).topRight() + QPointF(1, 1)));
    }
}

void TestHeatmapView::cellsShowTheirColours() {
    Shown s(8, 8);
    const QImage image = s.view.grab().toImage();
    const double ratio = image.devicePixelRatio();
    for (int r = 0; r < 8; ++r) {
        for (int c = 0; c < 8; ++c) {
            const QRectF cell = s.view.cellRect(r, c);
            const QRgb expected = s.view.scale().color(s.view.data().value(r, c));
            // Not blurred: the corners have the colour too.
            for (const QPointF p : {cell.center(), cell.topLeft() + QPointF(1, 1),
                                    cell.bottomRight() - QPointF(1, 1)}) {
                QCOMPARE(image.pixel((p * ratio).toPoint()), expected);
            }
        }
    }
}

void TestHeatmapView::rowZeroAtBottom() {
    Shown s(6, 4);
    QVERIFY(s.view.cellRect(0, 0).top() < s.view.cellRect(5, 0).top());
    s.view.setRowZeroAtTop(false);
    QVERIFY(s.view.cellRect(0, 0).top() > s.view.cellRect(5, 0).top());
    QVERIFY(s.view.cellAt(s.view.cellRect(5, 2).center()) == (CellPosition{5, 2}));
    s.view.setSelected(CellPosition{2, 2});
    QTest::keyClick(&s.view, Qt::Key_Up);
    QVERIFY(s.view.selected() == (CellPosition{3, 2}));
}

void TestHeatmapView::hoverReportsAndShowsCrosshair() {
    Shown s(12, 12);
    QSignalSpy hovered(&s.view, &HeatmapView::hovered);
    QSignalSpy left(&s.view, &HeatmapView::left);
    s.move(s.centre(3, 4));
    QTRY_COMPARE(hovered.size(), 1);
    QCOMPARE(hovered[0], (QVariantList{3, 4}));
    QVERIFY(s.view.crosshair() == (CellPosition{3, 4}));
    s.move(s.centre(3, 4) + QPoint(1, 1)); // the same cell
    s.move(s.centre(7, 1));
    QTRY_COMPARE(hovered.size(), 2);
    QCOMPARE(hovered[1], (QVariantList{7, 1}));
    s.move({2, 2});
    QTRY_COMPARE(left.size(), 1);
    QVERIFY(!s.view.crosshair());
    // Seen: pixels of the row differ from those without.
    const QImage without = s.view.grab().toImage();
    s.view.setCrosshair(CellPosition{5, 5});
    const QImage with = s.view.grab().toImage();
    QVERIFY(with != without);
    const QPoint inRow = s.centre(5, 9);
    QVERIFY(with.pixel(inRow) != without.pixel(inRow));
    const QPoint elsewhere = s.centre(8, 9);
    QCOMPARE(with.pixel(elsewhere), without.pixel(elsewhere));
}

void TestHeatmapView::hoverIsFast() {
    Shown s(32, 32, {700, 700});
    s.view.grab(); // the map is drawn once
    std::vector<qint64> times;
    for (int n = 0; n < 41; ++n) {
        s.view.setCrosshair(CellPosition{n % 32, (n * 5) % 32});
        QElapsedTimer timer;
        timer.start();
        s.view.repaint();
        times.push_back(timer.nsecsElapsed());
        QVERIFY(s.view.lastOverlayNanoseconds() > 0);
    }
    // The median: other programs may take the processor away for a while.
    std::sort(times.begin(), times.end());
    qInfo("crosshair repaint, 32 x 32 at 700 px: median %.2f ms, slowest of 41 %.2f ms",
          double(times[20]) / 1e6, double(times.back()) / 1e6);
    QVERIFY(times[20] < 16'000'000);
}

void TestHeatmapView::toolTipFollows() {
    Shown s(4, 4);
    s.view.setToolTipProvider(
        [](int r, int c) { return QStringLiteral("cell %1 %2").arg(r).arg(c); });
    s.move(s.centre(1, 2));
    QTRY_COMPARE(QToolTip::text(), QStringLiteral("cell 1 2"));
    s.move(s.centre(2, 2));
    QTRY_COMPARE(QToolTip::text(), QStringLiteral("cell 2 2"));
}

void TestHeatmapView::clickSelects() {
    Shown s(5, 5);
    QSignalSpy clicked(&s.view, &HeatmapView::clicked);
    QSignalSpy selected(&s.view, qOverload<int, int>(&HeatmapView::selected));
    QSignalSpy activated(&s.view, &HeatmapView::activated);
    QTest::mouseClick(&s.view, Qt::LeftButton, {}, s.centre(4, 0));
    QCOMPARE(clicked.size(), 1);
    QCOMPARE(selected.size(), 1);
    QCOMPARE(selected[0], (QVariantList{4, 0}));
    QVERIFY(s.view.selected() == (CellPosition{4, 0}));
    QTest::mouseClick(&s.view, Qt::LeftButton, {}, QPoint(2, 2)); // beside the map
    QTest::mouseClick(&s.view, Qt::RightButton, {}, s.centre(1, 1));
    QCOMPARE(selected.size(), 1);
    QTest::mouseDClick(&s.view, Qt::LeftButton, {}, s.centre(2, 3));
    QCOMPARE(activated.size(), 1);
    QCOMPARE(activated[0], (QVariantList{2, 3}));
}

void TestHeatmapView::setSelectedEmitsNothing() {
    Shown s(5, 5);
    QSignalSpy selected(&s.view, qOverload<int, int>(&HeatmapView::selected));
    s.view.setSelected(CellPosition{1, 1});
    s.view.setSelected(CellPosition{5, 1}); // outside: nothing is selected
    QVERIFY(!s.view.selected());
    QCOMPARE(selected.size(), 0);
}

void TestHeatmapView::arrowKeys() {
    Shown s(6, 5);
    QSignalSpy selected(&s.view, qOverload<int, int>(&HeatmapView::selected));
    QSignalSpy activated(&s.view, &HeatmapView::activated);
    QTest::keyClick(&s.view, Qt::Key_Down);
    QVERIFY(s.view.selected() == (CellPosition{0, 0})); // the first key selects
    QTest::keyClick(&s.view, Qt::Key_Down);
    QTest::keyClick(&s.view, Qt::Key_Right);
    QTest::keyClick(&s.view, Qt::Key_Right);
    QTest::keyClick(&s.view, Qt::Key_Left);
    QVERIFY(s.view.selected() == (CellPosition{1, 1}));
    QTest::keyClick(&s.view, Qt::Key_End);
    QVERIFY(s.view.selected() == (CellPosition{1, 4}));
    QTest::keyClick(&s.view, Qt::Key_Home);
    QTest::keyClick(&s.view, Qt::Key_Up);
    QVERIFY(s.view.selected() == (CellPosition{0, 0}));
    const auto before = selected.size();
    QTest::keyClick(&s.view, Qt::Key_Up); // at the edge: no change, no signal
    QCOMPARE(selected.size(), before);
    QTest::keyClick(&s.view, Qt::Key_Return);
    QCOMPARE(activated.size(), 1);
}

void TestHeatmapView::zoomAndPan() {
    Shown s(16, 16);
    QSignalSpy changed(&s.view, &HeatmapView::viewRangeChanged);
    const QRectF all(0, 0, 16, 16);
    QCOMPARE(s.view.viewRange(), all);
    const QPoint at = s.centre(10, 5);
    const auto wheel = [&](int turn) {
        QWheelEvent event(at, s.view.mapToGlobal(at), {}, {0, turn}, Qt::NoButton, {},
                          Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(&s.view, &event);
    };
    wheel(360);
    QCOMPARE(changed.size(), 1);
    QVERIFY(s.view.viewRange().width() < 16);
    QVERIFY(s.view.cellAt(at) == (CellPosition{10, 5})); // zooms about the pointer
    const QRectF zoomed = s.view.viewRange();
    QTest::mousePress(&s.view, Qt::LeftButton, {}, at);
    for (int n = 1; n <= 8; ++n) {
        QMouseEvent move(QEvent::MouseMove, at + QPointF(10 * n, 0),
                         s.view.mapToGlobal(at + QPointF(10 * n, 0)), Qt::NoButton, Qt::LeftButton,
                         {});
        QCoreApplication::sendEvent(&s.view, &move);
    }
    QTest::mouseRelease(&s.view, Qt::LeftButton, {}, at + QPoint(80, 0));
    QVERIFY(s.view.viewRange().left() < zoomed.left());
    QVERIFY(!s.view.selected()); // a drag is no click
    // The keyboard brings the selected cell into view.
    s.view.setSelected(CellPosition{0, 0});
    s.view.setViewRange({8, 8, 6, 6});
    QTest::keyClick(&s.view, Qt::Key_Right);
    QVERIFY(s.view.viewRange().contains(QPointF(1.5, 0.5)));
    QTest::keyClick(&s.view, Qt::Key_0);
    QCOMPARE(s.view.viewRange(), all);
    // Absurd ranges become possible ones.
    for (const QRectF r :
         {QRectF(-5, -5, 100, 100), QRectF(15.9, 15.9, 0.01, 0.01), QRectF(3, 3, 0, 0)}) {
        s.view.setViewRange(r);
        QVERIFY(all.contains(s.view.viewRange()));
        QVERIFY(s.view.viewRange().width() >= 2);
    }
}

void TestHeatmapView::multiSelection() {
    Shown s(8, 8);
    s.view.setMultiSelection(true);
    QSignalSpy marked(&s.view, &HeatmapView::markedChanged);
    QTest::mouseClick(&s.view, Qt::LeftButton, {}, s.centre(1, 1));
    QVERIFY(s.view.marked().empty());
    QTest::mouseClick(&s.view, Qt::LeftButton, Qt::ShiftModifier, s.centre(2, 3));
    QCOMPARE(s.view.marked().size(), 6u);
    QTest::mouseClick(&s.view, Qt::LeftButton, Qt::ControlModifier, s.centre(7, 7));
    QCOMPARE(s.view.marked().size(), 7u);
    QTest::mouseClick(&s.view, Qt::LeftButton, Qt::ControlModifier, s.centre(7, 7));
    QCOMPARE(s.view.marked().size(), 6u);
    QTest::keyClick(&s.view, Qt::Key_Escape);
    QVERIFY(s.view.marked().empty());
    // A rectangle by dragging.
    QTest::mousePress(&s.view, Qt::LeftButton, {}, s.centre(2, 2));
    const QPointF to = s.view.cellRect(4, 5).center();
    for (const QPointF p : {s.view.cellRect(3, 3).center(), to}) {
        QMouseEvent move(QEvent::MouseMove, p, s.view.mapToGlobal(p), Qt::NoButton, Qt::LeftButton,
                         {});
        QCoreApplication::sendEvent(&s.view, &move);
    }
    QTest::mouseRelease(&s.view, Qt::LeftButton, {}, to.toPoint());
    QCOMPARE(s.view.marked().size(), 12u);
    QVERIFY(marked.size() >= 5);
    QTest::keyClick(&s.view, Qt::Key_Escape);
    s.view.setSelected(CellPosition{0, 0});
    QTest::keyClick(&s.view, Qt::Key_Right, Qt::ShiftModifier);
    QTest::keyClick(&s.view, Qt::Key_Down, Qt::ShiftModifier);
    QVERIFY(!s.view.marked().empty());
    // Off: nothing of it happens.
    Shown plain(4, 4);
    QTest::mouseClick(&plain.view, Qt::LeftButton, Qt::ControlModifier, plain.centre(1, 1));
    QVERIFY(plain.view.marked().empty());
    QVERIFY(plain.view.selected() == (CellPosition{1, 1}));
}

void TestHeatmapView::sizeChangeForgets() {
    Shown s(5, 5);
    s.view.setSelected(CellPosition{4, 4});
    HeatmapData same = sampleMap(5, 5, QStringLiteral("Q"));
    s.view.setData(same);
    QVERIFY(s.view.selected() == (CellPosition{4, 4}));
    s.view.setData(sampleMap(3, 9, QStringLiteral("Q")));
    QVERIFY(!s.view.selected());
    QCOMPARE(s.view.viewRange(), QRectF(0, 0, 9, 3));
    s.view.setData({});
    s.view.setPlaceholder(QStringLiteral("Nothing computed yet"));
    s.view.grab();
    QVERIFY(!s.view.cellAt(QPointF(50, 50)));
    QTest::keyClick(&s.view, Qt::Key_Down);
    QVERIFY(!s.view.selected());
}

void TestHeatmapView::accessibleCell() {
    Shown s(5, 5);
    HeatmapData data = s.view.data();
    data.values[7] = std::nan("");
    s.view.setData(data);
    QAccessibleInterface* map = QAccessible::queryAccessibleInterface(&s.view);
    QVERIFY(map);
    QCOMPARE(map->text(QAccessible::Name), QStringLiteral("Map O"));
    QCOMPARE(map->childCount(), 0);
    QCOMPARE(map->text(QAccessible::Value), QStringLiteral("Nothing selected"));
    s.view.setSelected(CellPosition{1, 2});
    QCOMPARE(map->childCount(), 1);
    QAccessibleInterface* cell = map->child(0);
    QVERIFY(cell);
    QCOMPARE(cell->role(), QAccessible::Cell);
    QCOMPARE(cell->text(QAccessible::Name), QStringLiteral("Layer 1, Head 2: missing"));
    QCOMPARE(cell->parent(), map);
    QVERIFY(cell->rect().isValid());
    s.view.setDescriptionProvider(
        [](int r, int c) { return QStringLiteral("%1-%2").arg(r).arg(c); });
    QCOMPARE(cell->text(QAccessible::Name), QStringLiteral("1-2"));
}

void TestHeatmapView::contextMenu() {
    Shown s(5, 5);
    QSignalSpy menu(&s.view, &HeatmapView::contextMenuRequested);
    QContextMenuEvent event(QContextMenuEvent::Mouse, s.centre(2, 1), QPoint(10, 10));
    QCoreApplication::sendEvent(&s.view, &event);
    QCOMPARE(menu.size(), 1);
    QCOMPARE(menu[0][0].toInt(), 2);
    QCOMPARE(menu[0][1].toInt(), 1);
}

void TestHeatmapView::overlayLeavesTheMapAlone() {
    Shown s(6, 6);
    const QImage before = s.view.grab().toImage();
    s.view.setCrosshair(CellPosition{2, 2});
    s.view.setSelected(CellPosition{4, 4});
    s.view.setMarked({{0, 0}, {0, 1}});
    QVERIFY(s.view.grab().toImage() != before);
    s.view.setCrosshair({});
    s.view.setSelected({});
    s.view.setMarked({});
    QCOMPARE(s.view.grab().toImage(), before);
}

QTEST_MAIN(TestHeatmapView)
#include "tst_heatmapview.moc"
