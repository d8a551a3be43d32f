// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Document.h"
#include "document/Selection.h"
#include "pages/compare/Agreement.h"
#include "pages/compare/ComparePage.h"
#include "pages/compare/CompareWords.h"
#include "plots/CellScatter.h"
#include "results/ResultsFile.h"
#include "ui/plots/FormulaScores.h"

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace qkov;
using namespace qkov::ui;
using qkov::ui::testing::FormulaOptions;
using qkov::ui::testing::formulaScores;

namespace {

CompareView::Column column(const QString& title, const FormulaOptions& options) {
    return {title,
            title.left(1),
            QStringLiteral("May violate"),
            QStringLiteral("note"),
            formulaScores(options),
            {}};
}

std::vector<CompareView::Column> threeModes(std::int64_t kvHeads = 8) {
    return {column(QStringLiteral("Behavioral"),
                   {.kvHeads = kvHeads, .mode = engine::Mode::behavioral, .scale = 3}),
            column(QStringLiteral("Structural"), {.kvHeads = kvHeads, .scale = 1}),
            column(QStringLiteral("Hybrid"),
                   {.kvHeads = kvHeads, .mode = engine::Mode::hybrid, .scale = -2})};
}

} // namespace

class TestCompare : public QObject {
    Q_OBJECT

  private slots:
    void agreementAgainstKnownNumbers();
    void distinctSlicesCountOnce();
    void differencesAreShown();
    void everythingIsLinked();
    void missingModeSaysWhy();
    void pageShowsOneModeOfAFile();
    void pageWarnsOfFisherA();
    void twoResults();
    void whyMapsCantBeSubtracted();
};

void TestCompare::agreementAgainstKnownNumbers() {
    const double nan = std::nan("");
    // scipy.stats.spearmanr([1,2,2,4,5,0.5], [3,1,4,4,9,0]) = 0.86764705…
    const Agreement g =
        agreement({1, 2, 2, nan, 4, 5, 0.5, 7}, {3, 1, 4, 1, 4, 9, 0, nan}, 2, false);
    QCOMPARE(g.cells, 6u);
    QVERIFY2(std::abs(g.rho - 0.8676470588235294) < 1e-12,
             qPrintable(QString::number(g.rho, 'g', 17)));
    QCOMPARE(g.top, 2u);
    QCOMPARE(g.shared, 1u); // a tie goes to the first
    QCOMPARE(agreement({1, 2, 3}, {3, 2, 1}, 20, false).rho, -1.0);
    QCOMPARE(agreement({1, 2, 3}, {3, 2, 1}, 20, false).shared, 3u); // all three are in the top
    QCOMPARE(agreement({1, 2, 3}, {3, 2, 1}, 1, false).shared, 0u);
    QCOMPARE(agreement({1, 5, 3}, {0, 9, 1}, 1, true).shared, 1u); // lowest: the first of each
    QVERIFY(std::isnan(agreement({1, 2}, {1, 2}, 5, false).rho));
    QVERIFY(std::isnan(agreement({1, 1, 1}, {1, 2, 3}, 5, false).rho)); // constant
    QCOMPARE(agreement({nan}, {1}, 5, false).cells, 0u);
}

void TestCompare::distinctSlicesCountOnce() {
    const auto scores = formulaScores({.kvHeads = 2});
    QCOMPARE(distinctMeans(*scores, Block::Q).size(), 24u);
    QCOMPARE(distinctMeans(*scores, Block::K).size(), 6u);
}

void TestCompare::differencesAreShown() {
    CompareView view;
    view.setColumns(threeModes(), {{0, 1}, {2, 1}, {2, 0}});
    view.setBlock(Block::V);
    const HeatmapData& b = view.map(0)->data();
    const HeatmapData& s = view.map(1)->data();
    for (std::size_t n = 0; n < b.values.size(); ++n) {
        QCOMPARE(view.difference(0)->data().values[n], b.values[n] - s.values[n]);
    }
    const ColorScale scale = view.difference(1)->scale();
    QVERIFY(scale.map.diverging());
    QCOMPARE(scale.low, -scale.high);
    QCOMPARE(view.difference(0)->scale(), scale); // one scale for all three
    QVERIFY(!(view.map(0)->scale() == view.map(1)->scale()));
    view.setCommonRange(true);
    QCOMPARE(view.map(0)->scale(), view.map(1)->scale());
    QVERIFY2(view.agreementText(0).contains(QStringLiteral("ρ 1.00")),
             qPrintable(view.agreementText(0)));
    QVERIFY2(view.agreementText(1).contains(QStringLiteral("−1.00")),
             qPrintable(view.agreementText(1)));
}

void TestCompare::everythingIsLinked() {
    CompareView view;
    view.setColumns(threeModes(2), {{0, 1}, {2, 1}, {2, 0}});
    view.setBlock(Block::K);
    view.setLower(CompareView::Lower::both);
    view.resize(1000, 900);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    QSignalSpy selected(&view, &CompareView::selected);
    const QPoint at = view.map(1)->cellRect(1, 4).center().toPoint();
    QTest::mouseMove(view.map(1), at);
    QTRY_VERIFY(view.map(0)->crosshair() == (CellPosition{1, 4}));
    QVERIFY(view.difference(2)->crosshair() == (CellPosition{1, 4}));
    QTest::mouseClick(view.map(1), Qt::LeftButton, {}, at);
    QCOMPARE(selected.size(), 1);
    QVERIFY(selected[0][0].value<CellRef>() == (CellRef{Block::K, 1, 4}));
    view.setSelected(CellRef{Block::K, 2, 0});
    QVERIFY(view.map(2)->selected() == (CellPosition{2, 0}));
    QVERIFY(view.scatter(0)->selected() == 2 * 8 + 0);
    QCOMPARE(view.scatter(0)->points().size(), 6u); // each kv slice once
    view.setSelected(CellRef{Block::Q, 0, 0});      // another block: nothing here
    QVERIFY(!view.map(0)->selected());
    const QString tip = view.toolTipOf(1, 1);
    for (const char* word :
         {"L1", "Behavioral", "Structural", "Hybrid", "Behavioral − Structural"}) {
        QVERIFY2(tip.contains(QString::fromUtf8(word)), word);
    }
}

void TestCompare::missingModeSaysWhy() {
    CompareView view;
    auto columns = threeModes();
    columns[0].scores.reset();
    columns[0].why = QStringLiteral("Needs head types");
    view.setColumns(columns, {{0, 1}, {2, 1}, {2, 0}});
    QCOMPARE(view.map(0)->data().rows, 0);
    QVERIFY(view.agreementText(0).isEmpty());
    QVERIFY(!view.agreementText(1).isEmpty());
    view.resize(900, 600);
    QVERIFY(!view.grab().isNull());
}

void TestCompare::pageShowsOneModeOfAFile() {
    Document document;
    ComparePage page(&document);
    page.resize(1000, 700);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    QVERIFY(page.headlineText().isEmpty());
    document.showScores(formulaScores());
    // No dump: the other modes can't be computed, and say so.
    QVERIFY(!page.busy());
    QCOMPARE(page.view()->map(1)->data().rows, 3);
    QCOMPARE(page.view()->map(0)->data().rows, 0);
    QVERIFY(page.warningText().isEmpty());
    page.setBlock(Block::Q);
    QCOMPARE(page.view()->map(1)->data().value(0, 0), formulaScores()->mean(Block::Q, 0, 0));
    document.selection()->setCell(CellRef{Block::V, 1, 2});
    QCOMPARE(page.view()->block(), Block::V); // follows the selection
    QVERIFY(page.view()->map(1)->selected() == (CellPosition{1, 2}));
}

void TestCompare::pageWarnsOfFisherA() {
    Document document;
    ComparePage page(&document);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    const auto made = formulaScores();
    auto header = std::make_shared<engine::ScoreHeader>(made->header());
    header->request.fisherTask = engine::FisherTask::a;
    header->request.estimator = engine::Estimator::mean;
    std::vector<std::shared_ptr<const engine::LayerScores>> layers(
        3, std::make_shared<engine::LayerScores>());
    document.showScores(std::make_shared<engine::ScoreTensor>(header, layers));
    QVERIFY2(page.warningText().contains(QStringLiteral("a picture of code")),
             qPrintable(page.warningText()));
}

void TestCompare::twoResults() {
    QTemporaryDir dir;
    Job job;
    const QString same = dir.filePath(QStringLiteral("same.h5"));
    const QString other = dir.filePath(QStringLiteral("other.h5"));
    results::writeResults(same.toStdString(), *formulaScores({.scale = 2}), job);
    results::writeResults(other.toStdString(), *formulaScores({.layers = 5}), job);
    Document document;
    ComparePage page(&document);
    page.resize(1000, 700);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    document.showScores(formulaScores());
    page.openOther(same);
    QTRY_COMPARE(page.view()->difference(0)->data().rows, 3);
    page.setBlock(Block::O);
    const auto mine = formulaScores();
    QVERIFY(std::abs(page.view()->difference(0)->data().value(2, 3) - mine->mean(Block::O, 2, 3)) <
            1e-4);
    page.openOther(other);
    QTRY_VERIFY(page.warningText().contains(QStringLiteral("5 layers")));
    QCOMPARE(page.view()->map(1)->data().rows, 5);
    page.openOther(dir.filePath(QStringLiteral("none.h5")));
    QTRY_VERIFY(!page.busy());
    QTRY_VERIFY(page.view()->isHidden() || !page.view()->isVisible());
    page.setWhat(ComparePage::What::modes);
    QCOMPARE(page.view()->map(1)->data().rows, 3);
}

void TestCompare::whyMapsCantBeSubtracted() {
    engine::ScoreHeader a;
    a.layers = {0, 1, 2, 3};
    a.heads = {0, 1};
    engine::ScoreHeader b = a;
    QVERIFY(cellsDiffer(a, b).isEmpty() && optionsDiffer(a, b).isEmpty());
    b.layers = {0, 1};
    QVERIFY(cellsDiffer(a, b).contains(QStringLiteral("4 layers × 2 heads")));
    QVERIFY(cellsDiffer(a, b).contains(QStringLiteral("2 layers × 2 heads")));
    // As many, but others: numbers, not sizes that are the same.
    b.layers = {0, 4, 5, 6};
    QVERIFY(cellsDiffer(a, b).contains(QStringLiteral("layers 0-3, the others layers 0, 4-6")));
    b.layers = a.layers;
    b.heads = {2, 3};
    QVERIFY(cellsDiffer(a, b).contains(QStringLiteral("heads 0-1, the others heads 2-3")));
    b.heads = a.heads;
    b.request.variant = engine::Variant::cosine;
    QVERIFY(optionsDiffer(a, b).contains(QStringLiteral("different options")));
}

QTEST_MAIN(TestCompare)
#include "tst_comparepage.moc"
