// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/CellScatter.h"

#include <QSignalSpy>
#include <QTest>

#include <cmath>

using namespace qkov::ui;

class TestCellScatter : public QObject {
    Q_OBJECT

  private slots:
    void pointsAreFoundAndSelected();
    void missingValuesAreLeftOut();
    void logarithmicWhereNeeded();
    void keysWalkAlongX();
};

namespace {

std::vector<CellScatter::Point> line(int count) {
    std::vector<CellScatter::Point> points;
    for (int n = 0; n < count; ++n) {
        points.push_back({100 + n, 1.0 + n, 2.0 + n * 0.5});
    }
    return points;
}

void show(CellScatter& scatter) {
    scatter.resize(300, 280);
    scatter.show();
    QVERIFY(QTest::qWaitForWindowExposed(&scatter));
    QTest::qWait(30); // the queued replot
}

} // namespace

void TestCellScatter::pointsAreFoundAndSelected() {
    CellScatter scatter;
    scatter.setPoints(line(10));
    scatter.setAxisTitles(QStringLiteral("Structural"), QStringLiteral("Behavioral"));
    show(scatter);
    QSignalSpy hovered(&scatter, &CellScatter::hovered);
    QSignalSpy left(&scatter, &CellScatter::left);
    QSignalSpy selected(&scatter, qOverload<int>(&CellScatter::selected));
    QWidget* plot = scatter.findChild<QWidget*>();
    QVERIFY(plot);
    const auto at = scatter.positionOf(104);
    QVERIFY(at);
    QVERIFY(scatter.pointAt(*at) == 104);
    QTest::mouseMove(plot, at->toPoint());
    QTRY_COMPARE(hovered.size(), 1);
    QCOMPARE(hovered[0][0].toInt(), 104);
    QTest::mouseClick(plot, Qt::LeftButton, {}, at->toPoint());
    QCOMPARE(selected.size(), 1);
    QVERIFY(scatter.selected() == 104);
    const QImage before = scatter.grab().toImage();
    scatter.setSelected(107); // from elsewhere: shown, not reported
    QTest::qWait(30);
    QCOMPARE(selected.size(), 1);
    QVERIFY(scatter.grab().toImage() != before);
    QTest::mouseMove(plot, QPoint(2, 2));
    QTRY_COMPARE(left.size(), 1);
    QCOMPARE(scatter.accessibleName(), QStringLiteral("Behavioral against Structural"));
}

void TestCellScatter::missingValuesAreLeftOut() {
    CellScatter scatter;
    auto points = line(4);
    points[1].x = std::nan("");
    points[2].y = std::numeric_limits<double>::infinity();
    scatter.setPoints(points);
    QCOMPARE(scatter.points().size(), 2u);
    QVERIFY(!scatter.positionOf(101));
    scatter.setPoints({});
    show(scatter);
    QVERIFY(!scatter.pointAt(QPointF(100, 100)));
}

void TestCellScatter::logarithmicWhereNeeded() {
    CellScatter scatter;
    scatter.setPoints({{1, 1e-6, 1e-6}, {2, 1e-4, 1e-4}, {3, 1e-2, 1e-2}});
    show(scatter);
    // Equal steps on the page for equal factors.
    const QPointF a = *scatter.positionOf(1), b = *scatter.positionOf(2),
                  c = *scatter.positionOf(3);
    QVERIFY(std::abs((b.x() - a.x()) - (c.x() - b.x())) < 1.5);
    QVERIFY(b.x() - a.x() > 20);
    QVERIFY(a.y() > c.y());
}

void TestCellScatter::keysWalkAlongX() {
    CellScatter scatter;
    scatter.setPoints({{5, 3, 1}, {6, 1, 1}, {7, 2, 9}});
    show(scatter);
    QSignalSpy selected(&scatter, qOverload<int>(&CellScatter::selected));
    for (int n = 0; n < 4; ++n) {
        QTest::keyClick(&scatter, Qt::Key_Right);
    }
    QCOMPARE(selected.size(), 3);
    QCOMPARE(selected[0][0].toInt(), 6);
    QCOMPARE(selected[1][0].toInt(), 7);
    QCOMPARE(selected[2][0].toInt(), 5);
    QTest::keyClick(&scatter, Qt::Key_Left);
    QVERIFY(scatter.selected() == 7);
}

QTEST_MAIN(TestCellScatter)
#include "tst_cellscatter.moc"
