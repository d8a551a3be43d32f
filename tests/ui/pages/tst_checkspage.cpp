// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Document.h"
#include "document/Selection.h"
#include "pages/checks/CheckRow.h"
#include "pages/checks/ChecksPage.h"
#include "ui/plots/FormulaScores.h"

#include <QLabel>
#include <QPushButton>
#include <QTest>

using namespace qkov;
using namespace qkov::ui;
using engine::Check;
using engine::CheckStatus;
using qkov::ui::testing::formulaScores;

class TestChecks : public QObject {
    Q_OBJECT

  private slots:
    void everyCheckHasWords();
    void levels();
    void fisherIsSummed();
    void pageListsWhatFailedFirst();
    void linkSelectsTheCell();
    void nothingOpen();
};

namespace {

const char* const names[] = {"head_additivity", "loss_scale",    "ablation",       "symmetry",
                             "sample_order",    "fisher_health", "dependence_on_a"};

std::vector<Check> all(CheckStatus status) {
    std::vector<Check> list;
    for (const char* name : names) {
        list.push_back({name, status, "compared 8 samples", 1e-7});
    }
    return list;
}

/// The formula's scores with one poor and one thin cell.
std::shared_ptr<const engine::Scores> withPoorCells() {
    const auto made = formulaScores({.layers = 2, .heads = 4, .kvHeads = 4});
    std::vector<std::shared_ptr<const engine::LayerScores>> layers;
    for (std::size_t l = 0; l < 2; ++l) {
        auto layer = std::make_shared<engine::LayerScores>();
        for (const Block b : allBlocks) {
            for (std::size_t c = 0; c < 4; ++c) {
                const auto pairs = made->pairs(b, l, c);
                auto& to = layer->pairs[blockIndex(b)];
                to.insert(to.end(), pairs.begin(), pairs.end());
                layer->means[blockIndex(b)].push_back(made->mean(b, l, c));
                layer->health[blockIndex(b)].push_back(made->health(b, l, c));
            }
        }
        if (l == 1) {
            layer->health[blockIndex(Block::V)][2].shareBelow = 0.99;
            layer->health[blockIndex(Block::O)][0].shareBelow = 0.6;
        }
        layers.push_back(layer);
    }
    return std::make_shared<engine::ScoreTensor>(
        std::make_shared<engine::ScoreHeader>(made->header()), layers);
}

} // namespace

void TestChecks::everyCheckHasWords() {
    for (const Check& c : all(CheckStatus::fail)) {
        const CheckText t = checkText(c);
        QVERIFY(!t.title.isEmpty() && !t.title.contains(u'_'));
        QVERIFY2(t.meaning.size() > 30, c.name.c_str());
        QVERIFY2(t.advice.size() > 30, c.name.c_str());
        QCOMPARE(t.detail, QStringLiteral("compared 8 samples"));
    }
    // One that a later engine may bring is still shown.
    QCOMPARE(checkText({"new_check", CheckStatus::pass, "fine", 0}).title,
             QStringLiteral("new check"));
}

void TestChecks::levels() {
    for (const Check& c : all(CheckStatus::pass)) {
        QCOMPARE(checkText(c).level, CheckLevel::good);
        QVERIFY(checkText(c).advice.isEmpty());
    }
    QCOMPARE(checkText({"ablation", CheckStatus::fail, {}, 1}).level, CheckLevel::bad);
    QCOMPARE(checkText({"fisher_health", CheckStatus::fail, {}, 1}).level, CheckLevel::look);
    QCOMPARE(checkText({"dependence_on_a", CheckStatus::fail, {}, 1}).level, CheckLevel::look);
    QCOMPARE(checkText({"symmetry", CheckStatus::skipped, "why", 0}).level, CheckLevel::skipped);
}

void TestChecks::fisherIsSummed() {
    const FisherSummary good = fisherSummary(*formulaScores({.kvHeads = 2}));
    QCOMPARE(good.healthy, std::size_t(3 * (8 + 2 + 2 + 8))); // each kv slice once
    QCOMPARE(fisherText(good).level, CheckLevel::good);
    const FisherSummary s = fisherSummary(*withPoorCells());
    QCOMPARE(s.poor, 1u);
    QCOMPARE(s.thin, 1u);
    QCOMPARE(s.healthy, 30u);
    QCOMPARE(s.worst.size(), 2u);
    QCOMPARE(s.worst[0].block, Block::V);
    QCOMPARE(s.worst[0].column, 2);
    const CheckText t = fisherText(s);
    QCOMPARE(t.level, CheckLevel::look);
    QVERIFY(t.detail.contains(QStringLiteral("30 of 32")));
}

void TestChecks::pageListsWhatFailedFirst() {
    Document document;
    ChecksPage page(&document);
    page.resize(700, 600);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    auto checks = all(CheckStatus::pass);
    checks[5].status = CheckStatus::fail;
    checks[2].status = CheckStatus::fail;
    page.showChecks(checks);
    QCOMPARE(page.rows().size(), 7u);
    QCOMPARE(page.rows()[0]->text().level, CheckLevel::bad);
    QCOMPARE(page.rows()[1]->text().level, CheckLevel::look);
    QCOMPARE(page.headlineText(), QStringLiteral("One check failed"));
    QVERIFY(page.rows()[0]->accessibleName().contains(QStringLiteral("Failed")));
    page.showChecks(all(CheckStatus::pass));
    QCOMPARE(page.headlineText(), QStringLiteral("All 7 checks passed"));
}

void TestChecks::linkSelectsTheCell() {
    Document document;
    ChecksPage page(&document);
    page.resize(700, 600);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    document.showScores(withPoorCells());
    QCOMPARE(page.rows().size(), 1u);
    emit page.rows()[0]->linkActivated(QStringLiteral("2,1,2"));
    QVERIFY(document.selection()->cell() == (CellRef{Block::V, 1, 2}));
    bool linked = false;
    for (const QLabel* label : page.rows()[0]->findChildren<QLabel*>()) {
        linked = linked || label->text().contains(QStringLiteral("href='2,1,2'"));
    }
    QVERIFY(linked);
}

void TestChecks::nothingOpen() {
    Document document;
    ChecksPage page(&document);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    QCOMPARE(page.headlineText(), QStringLiteral("Not checked yet"));
    const auto* button = page.findChild<QPushButton*>(QStringLiteral("runChecks"));
    QVERIFY(button && !button->isEnabled());
    page.run(); // nothing to run on
    QVERIFY(!page.busy());
}

QTEST_MAIN(TestChecks)
#include "tst_checkspage.moc"
