// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Document.h"
#include "document/Selection.h"
#include "models/ConflictModel.h"
#include "models/DataTreeModel.h"
#include "models/SampleModel.h"
#include "ui/FakeScores.h"

#include <QAbstractItemModelTester>
#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTest>

using namespace qkov;
using namespace qkov::ui;
using Mode = QAbstractItemModelTester::FailureReportingMode;

class TestModels : public QObject {
    Q_OBJECT

  private slots:
    void conflictModelIsAModel() {
        Document d;
        ConflictModel m(&d, ConflictModel::Scope::all);
        QAbstractItemModelTester tester(&m, Mode::QtTest);
        d.showScores(test::fakeScores());
        // Q and O of 4 heads, K and V of 2 kv heads, 3 layers, 30 pairs.
        QTRY_COMPARE(m.rowCount(), (4 + 2 + 2 + 4) * 3 * 30);
        d.selection()->setCell(CellRef{Block::O, 2, 3});
        m.setScope(ConflictModel::Scope::cell);
        QTRY_COMPARE(m.rowCount(), 30);
        d.close();
        QTRY_COMPARE(m.rowCount(), 0);
    }

    void bestFirstWithTrueIds() {
        Document d;
        ConflictModel m(&d, ConflictModel::Scope::all);
        d.showScores(test::fakeScores());
        QTRY_VERIFY(m.rowCount() > 0);
        const auto text = [&](int row, int column) {
            return m.index(row, column).data().toString();
        };
        QCOMPARE(text(0, ConflictModel::BlockColumn), QStringLiteral("O"));
        QCOMPARE(text(0, ConflictModel::LayerColumn), QStringLiteral("2"));
        QCOMPARE(text(0, ConflictModel::HeadColumn), QStringLiteral("3"));
        QCOMPARE(text(0, ConflictModel::SampleA), QStringLiteral("math-4"));
        QCOMPARE(text(0, ConflictModel::SampleB), QStringLiteral("code-5"));
        for (int r = 1; r < m.rowCount(); ++r) {
            QVERIFY(m.rows()[static_cast<std::size_t>(r)].score <=
                    m.rows()[static_cast<std::size_t>(r) - 1].score);
        }
        m.sort(ConflictModel::SampleB, Qt::AscendingOrder);
        QTRY_COMPARE(text(0, ConflictModel::SampleB), QStringLiteral("code-0"));
    }

    void filter_data() {
        QTest::addColumn<QString>("filter");
        QTest::addColumn<int>("rows");
        QTest::newRow("layer") << "layer:1" << 12 * 30;
        QTest::newRow("layers") << "layer:0-1" << 2 * 12 * 30;
        QTest::newRow("block") << "block:QO head:3" << 2 * 3 * 30;
        QTest::newRow("kv once") << "block:K" << 2 * 3 * 30;
        QTest::newRow("id of either side") << "block:Q layer:0 head:0 id:math-2" << 6;
        QTest::newRow("both sides") << "block:Q layer:0 head:0 a:math-2 b:code-3" << 1;
        QTest::newRow("group") << "block:Q layer:0 head:0 group:loop" << 5 * 3;
        QTest::newRow("text") << "block:Q layer:0 head:0 text:\"range(4\"" << 5;
        QTest::newRow("word") << "block:Q layer:0 head:0 CODE-5" << 5;
        QTest::newRow("type") << "type:induction block:Q" << 2 * 3 * 30;
        QTest::newRow("score") << "score:>32.4" << 30;
        QTest::newRow("nothing") << "id:nobody" << 0;
        QTest::newRow("half typed") << "layer:" << 12 * 3 * 30;
    }

    void filter() {
        QFETCH(QString, filter);
        QFETCH(int, rows);
        const auto scores = test::fakeScores();
        ConflictQuery q;
        q.filter = ConflictFilter::parse(filter);
        QVERIFY(q.filter.problems().isEmpty());
        const auto list = runQuery(*scores, q, {});
        QCOMPARE(static_cast<int>(list.rows.size()), rows);
        QCOMPARE(static_cast<int>(list.matches), rows);
    }

    void brokenTermsAreNamed() {
        const auto f = ConflictFilter::parse(QStringLiteral("layer:x block:Z ok"));
        QCOMPARE(f.problems(), (QStringList{QStringLiteral("layer:x"), QStringLiteral("block:Z")}));
    }

    void theLimitKeepsTheWorst() {
        const auto scores = test::fakeScores();
        ConflictQuery q;
        q.limit = 7;
        const auto cut = runQuery(*scores, q, {});
        q.limit = 1'000'000;
        const auto all = runQuery(*scores, q, {});
        QCOMPARE(cut.rows.size(), std::size_t(7));
        QCOMPARE(cut.matches, all.matches);
        for (std::size_t r = 0; r < 7; ++r) {
            QCOMPARE(cut.rows[r].score, all.rows[r].score);
        }
    }

    void aMillionRowsDoNotBlock() {
        Document d;
        ConflictModel m(&d, ConflictModel::Scope::all);
        d.showScores(test::fakeScores({12, 12, 12, 50, 50}));
        QElapsedTimer t;
        t.start();
        qint64 longest = 0;
        qint64 last = 0;
        while (m.rowCount() == 0 && t.elapsed() < 20000) {
            QCoreApplication::processEvents(QEventLoop::AllEvents, 5);
            longest = std::max(longest, t.elapsed() - last);
            last = t.elapsed();
        }
        QCOMPARE(m.rowCount(), 1'000'000);
        QCOMPARE(m.matches(), std::uint64_t(4 * 144 * 2500));
        QVERIFY2(longest < 200, qPrintable(QString::number(longest)));
        QVERIFY(m.summary().startsWith(QStringLiteral("the 1")));
    }

    void dataTreeIsAModel() {
        Document d;
        DataTreeModel m(&d);
        QAbstractItemModelTester tester(&m, Mode::QtTest);
        QCOMPARE(m.rowCount(), 0);
        d.showScores(test::fakeScores());
        QStringList roots;
        for (int r = 0; r < m.rowCount(); ++r) {
            roots << m.index(r, 0).data().toString();
        }
        QCOMPARE(roots, (QStringList{QStringLiteral("Model"), QStringLiteral("Tasks"),
                                     QStringLiteral("Head types"), QStringLiteral("Missing")}));
        const auto tasks = m.index(1, 0);
        QCOMPARE(m.rowCount(tasks), 2);
        QCOMPARE(m.index(0, 1, tasks).data().toString(), QStringLiteral("5"));
        d.close();
        QCOMPARE(m.rowCount(), 0);
    }

    void samplesAreAModel() {
        Document d;
        SampleModel m(&d);
        SampleFilter f;
        f.setSourceModel(&m);
        QAbstractItemModelTester tester(&m, Mode::QtTest);
        QAbstractItemModelTester filterTester(&f, Mode::QtTest);
        d.showScores(test::fakeScores());
        QCOMPARE(m.rowCount(), 11);
        f.setWords(QStringLiteral("range loop"));
        QCOMPARE(f.rowCount(), 3);
        f.setTask(QStringLiteral("math"));
        QCOMPARE(f.rowCount(), 0);
        f.setWords({});
        QCOMPARE(f.rowCount(), 5);
    }
};

QTEST_MAIN(TestModels)
#include "tst_models.moc"
