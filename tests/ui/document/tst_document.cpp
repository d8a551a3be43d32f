// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/CellPairs.h"
#include "document/Document.h"
#include "document/MapValues.h"
#include "document/Selection.h"
#include "document/Seriation.h"
#include "document/Words.h"
#include "ui/FakeScores.h"

#include <QAction>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace qkov;
using namespace qkov::ui;

class TestDocument : public QObject {
    Q_OBJECT

  private slots:
    void historyGoesBackAndForward() {
        Selection s;
        QVERIFY(!s.backAction()->isEnabled());
        s.setCell(CellRef{Block::O, 1, 2});
        s.amendPair(PairRef{3, 4});
        s.setCell(CellRef{Block::Q, 0, 0});
        QVERIFY(!s.pair());
        s.amendPair(PairRef{1, 1});
        s.backAction()->trigger();
        QCOMPARE(s.cell()->block, Block::O);
        QVERIFY(s.pair() == (PairRef{3, 4}));
        s.forwardAction()->trigger();
        QVERIFY(s.pair() == (PairRef{1, 1}));
        QVERIFY(!s.forwardAction()->isEnabled());
        s.backAction()->trigger();
        s.setCell(CellRef{Block::V, 2, 2}); // cuts the way forward off
        QVERIFY(!s.forwardAction()->isEnabled());
        QCOMPARE(s.history().size(), std::size_t(2));
    }

    void heldPairsStay() {
        Selection s;
        s.set({CellRef{Block::O, 1, 2}, PairRef{3, 4}});
        s.holdPair(true);
        s.setCell(CellRef{Block::K, 0, 0});
        QVERIFY(s.pair() == (PairRef{3, 4}));
    }

    void aCellBringsItsMostConflictedPair() {
        Document d;
        CellPairs pairs(&d);
        d.showScores(test::fakeScores());
        QSignalSpy changed(&pairs, &CellPairs::changed);
        d.selection()->setCell(CellRef{Block::O, 2, 1});
        QTRY_VERIFY(d.selection()->pair().has_value());
        QVERIFY(*d.selection()->pair() == (PairRef{4, 5})); // the largest i and j
        QCOMPARE(static_cast<float>(pairs.score(Block::V, {1, 2})),
                 test::fakeScore(Block::V, 2, 0, 1, 2));
        QVERIFY(std::isnan(pairs.score(Block::V, {99, 0})));
    }

    void reductionsAreWhatTheySay() {
        Document d;
        MapValues values(&d);
        d.showScores(test::fakeScores());
        const double mean = values.value(Block::Q, 1, 3);
        QVERIFY(std::abs(mean - d.scores()->mean(Block::Q, 1, 3)) < 1e-12);
        values.setReduction(results::Reduction::max);
        QTRY_COMPARE(values.shownReduction(), results::Reduction::max);
        QCOMPARE(static_cast<float>(values.value(Block::Q, 1, 3)),
                 test::fakeScore(Block::Q, 1, 3, 4, 5));
    }

    void missingFilesAreSaid() {
        Document d;
        d.open(QStringLiteral("/nonexistent/file.h5"));
        QCOMPARE(d.state(), Document::State::loading);
        QTRY_COMPARE(d.state(), Document::State::empty);
        QCOMPARE(d.message().severity, Message::Severity::error);
        QVERIFY(!d.message().what.isEmpty());
        QVERIFY(d.message().details().contains(QStringLiteral("/nonexistent/file.h5")));
    }

    void rubbishIsSaidAndWhatWasOpenStays() {
        QTemporaryDir dir;
        QFile f(dir.filePath(QStringLiteral("rubbish.h5")));
        QVERIFY(f.open(QIODevice::WriteOnly));
        f.write("\x89HDF\r\n\x1a\n and nothing else");
        f.close();
        Document d;
        d.showScores(test::fakeScores());
        d.open(f.fileName());
        QTRY_VERIFY(!d.message().empty());
        QCOMPARE(d.state(), Document::State::ready);
        QVERIFY(d.scores() != nullptr);
    }

    void selectionFollowsTheModelsNumbers() {
        auto from = test::fakeHeader({});
        engine::ScoreHeader to = *from;
        to.layers = {2};
        to.heads = {3, 1};
        const auto c = translated(CellRef{Block::K, 2, 1}, *from, to);
        QVERIFY(c && c->row == 0 && c->column == 1);
        QVERIFY(!translated(CellRef{Block::K, 0, 1}, *from, to));
        std::swap(to.samplesB[0], to.samplesB[5]);
        const auto p = translated(PairRef{1, 0}, *from, to);
        QVERIFY(p && p->i == 1 && p->j == 5);
    }

    void wordsSayWhatIsShared() {
        const auto h = test::fakeHeader({});
        QCOMPARE(kvSharing(*h, {Block::Q, 0, 1}), QString());
        QCOMPARE(kvSharing(*h, {Block::K, 0, 1}), QStringLiteral("shares kv head 0 with H0"));
        QCOMPARE(cellName(*h, {Block::V, 2, 3}), QStringLiteral("L2 · H3 · V"));
        QVERIFY(headline(*test::fakeScores())
                    .startsWith(QStringLiteral("O is the most conflicted block")));
    }

    void commandReproducesTheOptions() {
        auto h = *test::fakeHeader({});
        h.request.variant = engine::Variant::signedProduct;
        h.request.layers = {0, 1, 2, 5};
        h.request.regularization = engine::Regularization::original();
        const QString c = commandLine(h, QStringLiteral("/data/my dump.h5"));
        QVERIFY2(c.startsWith(
                     QStringLiteral("qkov compute '/data/my dump.h5' --task-a math --task-b code")),
                 qPrintable(c));
        QVERIFY(c.contains(QStringLiteral("--mode structural")));
        QVERIFY(c.contains(QStringLiteral("--variant signed")));
        QVERIFY(c.contains(QStringLiteral("--layers 0-2,5")));
        QVERIFY(c.contains(QStringLiteral("--ridge 1e-08")));
        QVERIFY(c.contains(QStringLiteral("--ridge-rel 0")));
    }

    void seriationFindsTheBlocks() {
        // Two groups of rows and columns, shuffled: after seriation each is together.
        const std::size_t n = 12;
        std::vector<float> m(n * n);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) {
                m[i * n + j] = (i % 2 == j % 2) ? 2.0F : 1.0F;
            }
        }
        const auto [rows, columns] = seriate(m, n, n);
        for (std::size_t k = 1; k < n / 2; ++k) {
            QCOMPARE(rows[k] % 2, rows[0] % 2);
            QCOMPARE(columns[k] % 2, columns[0] % 2);
        }
        QCOMPARE(rows[0] % 2, columns[0] % 2);
    }
};

QTEST_MAIN(TestDocument)
#include "tst_document.moc"
