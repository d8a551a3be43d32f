// SPDX-License-Identifier: GPL-3.0-or-later
// From scores to maps and figures.
#include "base/Error.h"
#include "figures/FigureExport.h"
#include "plots/HeatmapData.h"
#include "ui/plots/FormulaScores.h"

#include <QTest>

using namespace qkov;
using namespace qkov::ui;
using qkov::ui::testing::formulaScore;
using qkov::ui::testing::formulaScores;

class TestScoreMaps : public QObject {
    Q_OBJECT

  private slots:
    void blockMapHoldsTheMeans();
    void sharedKvHeadsAreJoined();
    void uncomputedAndMissingDiffer();
    void headTypesAreMarked();
    void pairMapIsOrdered();
    void labels();
    void blocksFigureOfScores();
    void compareFigureSubtracts();
    void pairFigureHoldsThePair();
    void pairsFigureIsOrdered();
    void wrongRequests();
};

void TestScoreMaps::blockMapHoldsTheMeans() {
    const auto scores = formulaScores();
    const HeatmapData d = blockHeatmap(*scores, Block::O);
    QVERIFY(d.consistent());
    QCOMPARE(d.title, QStringLiteral("O"));
    QCOMPARE(d.rows, 3);
    QCOMPARE(d.columns, 8);
    for (int l = 0; l < 3; ++l) {
        for (int c = 0; c < 8; ++c) {
            QCOMPARE(d.value(l, c), scores->mean(Block::O, std::size_t(l), std::size_t(c)));
        }
    }
    QVERIFY(d.columnBrackets.empty() && !d.reserveColumnBrackets);
    const std::vector<double> others(24, 7.0);
    QCOMPARE(blockHeatmap(*scores, Block::O, others).value(2, 5), 7.0);
}

void TestScoreMaps::sharedKvHeadsAreJoined() {
    const auto scores = formulaScores({.kvHeads = 2});
    const HeatmapData k = blockHeatmap(*scores, Block::K);
    QCOMPARE(k.columnBrackets.size(), 2u);
    QCOMPARE(k.columnBrackets[1].first, 4);
    QCOMPARE(k.columnBrackets[1].last, 7);
    QCOMPARE(k.columnBrackets[1].label, QStringLiteral("kv 1"));
    QCOMPARE(k.value(0, 4), k.value(0, 7));
    // Q has none, but as much room: linked maps are of one size.
    const HeatmapData q = blockHeatmap(*scores, Block::Q);
    QVERIFY(q.columnBrackets.empty() && q.reserveColumnBrackets);
}

void TestScoreMaps::uncomputedAndMissingDiffer() {
    const auto scores = formulaScores({.computedLayers = 2, .missingK = true});
    const HeatmapData k = blockHeatmap(*scores, Block::K);
    QCOMPARE(k.state(0, 0), HeatmapData::State::missing);
    QCOMPARE(k.state(2, 0), HeatmapData::State::notComputed);
    QCOMPARE(blockHeatmap(*scores, Block::Q).state(1, 1), HeatmapData::State::ok);
    QCOMPARE(pairHeatmap(*scores, Block::Q, 2, 0).state(0, 0), HeatmapData::State::notComputed);
    QCOMPARE(pairHeatmap(*scores, Block::K, 0, 0).state(0, 0), HeatmapData::State::missing);
}

void TestScoreMaps::headTypesAreMarked() {
    const HeatmapData d = blockHeatmap(*formulaScores({.withTypes = true}), Block::Q);
    QVERIFY(d.marks[0].isNull()); // mixed
    QCOMPARE(d.marks[1], QChar(0x25B8));
    QCOMPARE(d.marks[2], QChar(0x2190));
    QCOMPARE(headTypeLabel(QStringLiteral("previous_token")), QStringLiteral("previous token"));
}

void TestScoreMaps::pairMapIsOrdered() {
    const auto scores = formulaScores();
    const HeatmapData d = pairHeatmap(*scores, Block::V, 1, 3, {3, 2, 1, 0}, {0, 2, 4, 1, 3});
    QVERIFY(d.consistent());
    QCOMPARE(d.title, QStringLiteral("L1 · H3 · V"));
    QCOMPARE(d.rowTitle, QStringLiteral("math"));
    QCOMPARE(d.rowLabel(0), QStringLiteral("math-3"));
    QCOMPARE(d.columnLabel(1), QStringLiteral("code-2"));
    QCOMPARE(d.value(0, 1), double(formulaScore(Block::V, 1, 3, 3, 2)));
    QCOMPARE(d.rowBands.size(), 2u); // second, first
    QCOMPARE(d.rowBands[0].label, QStringLiteral("second"));
    // Columns 0 | 2 4 | 1 | 3 by group.
    QCOMPARE(d.columnBands.size(), 4u);
    // Groups that alternate all along get no strips.
    const auto many = formulaScores({.nA = 16});
    std::vector<std::size_t> mixed;
    for (std::size_t n = 0; n < 8; ++n) {
        mixed.push_back(n);
        mixed.push_back(n + 8);
    }
    QVERIFY(pairHeatmap(*many, Block::V, 1, 3, mixed).rowBands.empty());
    QCOMPARE(pairHeatmap(*many, Block::V, 1, 3).rowBands.size(), 2u);
}

void TestScoreMaps::labels() {
    const auto text = [](engine::Mode m, engine::Variant v) {
        return valueLabel(formulaScores({.mode = m, .variant = v})->header());
    };
    QCOMPARE(text(engine::Mode::structural, engine::Variant::magnitude),
             QStringLiteral("Mean interference (structural, magnitude)"));
    QCOMPARE(text(engine::Mode::hybrid, engine::Variant::profile),
             QStringLiteral("Mean interference (profile)"));
    QVERIFY(isSigned(formulaScores({.variant = engine::Variant::cosine})->header()));
    QVERIFY(!isSigned(formulaScores()->header()));
}

void TestScoreMaps::blocksFigureOfScores() {
    const auto scores = formulaScores({.kvHeads = 4});
    const FigureSpec s = blocksFigure(*scores);
    QCOMPARE(s.panels.size(), 4u);
    QCOMPARE(s.inches.width(), 5.5);
    QVERIFY(s.inches.height() > 1 && s.inches.height() <= 9);
    QCOMPARE(s.cells(), 4 * 24);
    for (const char* part :
         {"math", "code", "n = 4", "n = 5", "structural", "magnitude", "pooled"}) {
        QVERIFY2(s.caption.contains(QLatin1String(part)), part);
    }
    QVERIFY(s.source.contains(QStringLiteral("formula.h5")));
    QVERIFY(!s.colorMap.diverging());
    const FigureSpec cosine = blocksFigure(*formulaScores({.variant = engine::Variant::cosine}));
    QVERIFY(cosine.colorMap.diverging());
    const auto scale = cosine.scales()[0];
    QCOMPARE(scale.low, -scale.high);
    QVERIFY(!renderFigure(s, 80).isNull());
    std::vector<std::vector<double>> values(4);
    values[3].assign(24, 5.0);
    QCOMPARE(blocksFigure(*scores, {}, values).panels[3].value(1, 1), 5.0);
    FigureOptions options;
    options.inches = QSizeF(3.25, 2);
    options.sharedRange = false;
    const FigureSpec own = heatmapFigure(*scores, Block::Q, options);
    QCOMPARE(own.inches, QSizeF(3.25, 2));
}

void TestScoreMaps::compareFigureSubtracts() {
    const auto b = formulaScores({.mode = engine::Mode::behavioral, .scale = 3});
    const auto s = formulaScores({.mode = engine::Mode::structural, .scale = 1});
    const auto h = formulaScores({.mode = engine::Mode::hybrid, .scale = 2});
    const FigureSpec f = compareFigure(*b, *s, *h, Block::O);
    QCOMPARE(f.panels.size(), 6u);
    for (std::size_t n = 0; n < 24; ++n) {
        QCOMPARE(f.panels[3].values[n], f.panels[0].values[n] - f.panels[1].values[n]);
        QCOMPARE(f.panels[4].values[n], f.panels[2].values[n] - f.panels[1].values[n]);
        QCOMPARE(f.panels[5].values[n], f.panels[2].values[n] - f.panels[0].values[n]);
    }
    QVERIFY(!renderFigure(f, 80).isNull());
    QVERIFY_EXCEPTION_THROWN(
        compareFigure(*b, *s, *formulaScores({.heads = 4, .kvHeads = 4}), Block::O), UsageError);
}

void TestScoreMaps::pairFigureHoldsThePair() {
    const auto scores = formulaScores();
    const FigureSpec f = pairFigure(*scores, 2, 4);
    QCOMPARE(f.panels.size(), 4u);
    QCOMPARE(f.panels[3].value(1, 6), double(formulaScore(Block::O, 1, 6, 2, 4)));
    QVERIFY(f.caption.contains(QStringLiteral("math-2")) &&
            f.caption.contains(QStringLiteral("code-4")));
}

void TestScoreMaps::pairsFigureIsOrdered() {
    // The formula grows with i and j: in each group the last sample comes first.
    const FigureSpec f = pairsFigure(*formulaScores(), Block::O, 1, 2);
    QCOMPARE(f.panels[0].rowLabels, (QStringList{"math-1", "math-0", "math-3", "math-2"}));
    QCOMPARE(f.panels[0].columnLabels,
             (QStringList{"code-1", "code-0", "code-4", "code-3", "code-2"}));
    QCOMPARE(f.panels[0].value(0, 2), double(formulaScore(Block::O, 1, 2, 1, 4)));
    const FigureSpec low =
        pairsFigure(*formulaScores({.variant = engine::Variant::signedProduct}), Block::O, 1, 2);
    QCOMPARE(low.panels[0].rowLabels, (QStringList{"math-0", "math-1", "math-2", "math-3"}));
    QVERIFY(!renderFigure(f, 80).isNull());
}

void TestScoreMaps::wrongRequests() {
    const auto scores = formulaScores();
    QVERIFY_EXCEPTION_THROWN(pairFigure(*scores, 4, 0), UsageError);
    QVERIFY_EXCEPTION_THROWN(pairsFigure(*scores, Block::Q, 3, 0), UsageError);
    QVERIFY_EXCEPTION_THROWN(parseFigureKind(QStringLiteral("pie")), UsageError);
    QCOMPARE(parseFigureKind(QStringLiteral("Blocks")), FigureKind::blocks);
}

QTEST_MAIN(TestScoreMaps)
#include "tst_scoremaps.moc"
