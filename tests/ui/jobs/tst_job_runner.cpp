// SPDX-License-Identifier: GPL-3.0-or-later
#include "jobs/JobRunner.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTest>
#include <QThread>

using namespace qkov;
using ui::JobContext;
using ui::JobRunner;

class TestJobRunner : public QObject {
    Q_OBJECT

  private slots:
    void deliversOnTheCallersThread() {
        JobRunner runner;
        QSignalSpy finished(&runner, &JobRunner::finished);
        QThread* worked = nullptr;
        QThread* delivered = nullptr;
        runner.start([&](JobContext&) -> JobRunner::Delivery {
            worked = QThread::currentThread();
            return [&] { delivered = QThread::currentThread(); };
        });
        QVERIFY(runner.running());
        QVERIFY(finished.wait(2000));
        QVERIFY(worked != nullptr && worked != QThread::currentThread());
        QCOMPARE(delivered, QThread::currentThread());
        QVERIFY(!runner.running());
    }

    void errorsArriveWhole() {
        JobRunner runner;
        QString text;
        connect(&runner, &JobRunner::failed, this, [&](std::exception_ptr e) {
            try {
                std::rethrow_exception(e);
            } catch (const InputError& error) {
                text = QString::fromStdString(error.problem());
            }
        });
        runner.start(
            [](JobContext&) -> JobRunner::Delivery { throw InputError("is broken", "x.h5"); });
        QTRY_COMPARE(text, QStringLiteral("is broken"));
        QVERIFY(!runner.running());
    }

    void cancelIsAtOnceAndNothingArrivesAfterIt() {
        JobRunner runner;
        QSignalSpy cancelled(&runner, &JobRunner::cancelled);
        QSignalSpy finished(&runner, &JobRunner::finished);
        bool delivered = false;
        runner.start([&](JobContext&) -> JobRunner::Delivery {
            QThread::msleep(150); // deaf to cancellation
            return [&] { delivered = true; };
        });
        QTest::qWait(20);
        QElapsedTimer t;
        t.start();
        runner.cancel();
        QVERIFY(t.elapsed() < 20);
        QCOMPARE(cancelled.count(), 1);
        QVERIFY(!runner.running());
        QTRY_VERIFY(runner.drained());
        QTest::qWait(30);
        QVERIFY(!delivered);
        QCOMPARE(finished.count(), 0);
    }

    void theNewestWins() {
        JobRunner runner;
        QList<int> delivered;
        for (int k = 0; k < 5; ++k) {
            runner.start([&delivered, k](JobContext& context) -> JobRunner::Delivery {
                for (int n = 0; n < 20; ++n) {
                    QThread::msleep(1);
                    context.checkCancelled();
                }
                return [&delivered, k] { delivered << k; };
            });
        }
        QTRY_VERIFY(!runner.running());
        QCOMPARE(delivered, QList<int>{4});
    }

    void partialsComeInOrderAndTheLastIsKept() {
        JobRunner runner;
        QList<int> seen;
        QSignalSpy finished(&runner, &JobRunner::finished);
        runner.start([&seen](JobContext& context) -> JobRunner::Delivery {
            for (int n = 0; n < 2000; ++n) {
                context.deliver([&seen, n] { seen << n; });
            }
            return {};
        });
        QTRY_COMPARE(finished.count(), 1);
        QVERIFY(std::is_sorted(seen.begin(), seen.end()));
        QCOMPARE(seen.last(), 1999);
    }

    void cancelKeepsTheNewestPartial() {
        JobRunner runner;
        int shown = -1;
        std::atomic<bool> ready = false;
        runner.start([&](JobContext& context) -> JobRunner::Delivery {
            context.deliver([&shown] { shown = 7; });
            ready = true;
            while (true) {
                QThread::msleep(1);
                context.checkCancelled();
            }
        });
        while (!ready) {
            QThread::msleep(1); // events are not processed: the partial waits
        }
        runner.cancel();
        QCOMPARE(shown, 7);
    }

    void aDeliveryMayStartTheNextJob() {
        JobRunner runner;
        QSignalSpy finished(&runner, &JobRunner::finished);
        bool second = false;
        runner.start([&](JobContext&) -> JobRunner::Delivery {
            return [&] {
                runner.start(
                    [&](JobContext&) -> JobRunner::Delivery { return [&] { second = true; }; });
            };
        });
        QTRY_VERIFY(second);
        QTRY_COMPARE(finished.count(), 1);
    }

    void progressIsMonotone() {
        JobRunner runner;
        QList<double> seen;
        connect(&runner, &JobRunner::progressed, this,
                [&](const Progress& p) { seen << p.fraction; });
        QSignalSpy finished(&runner, &JobRunner::finished);
        runner.start([](JobContext& context) -> JobRunner::Delivery {
            context.job().stage("work", 0, 1);
            for (int n = 0; n <= 100; ++n) {
                context.job().advance(n / 100.0);
                QThread::msleep(2);
            }
            return {};
        });
        QTRY_COMPARE(finished.count(), 1);
        QVERIFY(seen.size() > 1);
        QVERIFY(std::is_sorted(seen.begin(), seen.end()));
    }
};

QTEST_GUILESS_MAIN(TestJobRunner)
#include "tst_job_runner.moc"
