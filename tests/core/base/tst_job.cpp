// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Job.h"

#include <QtTest>

#include <algorithm>
#include <vector>

using namespace qkov;

class TestJob : public QObject {
    Q_OBJECT

  private slots:
    void parts();
    void cancelledWithTheWhole();
};

void TestJob::parts() {
    std::vector<Progress> seen;
    Job whole(
        {}, [&](const Progress& p) { seen.push_back(p); }, std::chrono::milliseconds(0));
    Job first = partOf(whole, 0, 0.8);
    Job second = partOf(whole, 0.8, 1);
    first.stage("Collecting", 0, 0.5);
    first.advance(1);
    first.stage("Pooling", 0.5, 1);
    first.finish();
    QCOMPARE(seen.back().fraction, 0.8);
    second.stage("Scoring", 0, 1);
    QCOMPARE(seen.back().stage, std::string("Scoring"));
    QCOMPARE(seen.back().fraction, 0.8); // not back to the part's own begin, not at 1 yet
    second.finish();
    whole.finish();
    QCOMPARE(seen.back().fraction, 1.0);
    QVERIFY(std::is_sorted(seen.begin(), seen.end(), [](const Progress& a, const Progress& b) {
        return a.fraction < b.fraction;
    }));
    for (const char* stage : {"Collecting", "Pooling", "Scoring"}) {
        QVERIFY(std::any_of(seen.begin(), seen.end(),
                            [&](const Progress& p) { return p.stage == stage; }));
    }
}

void TestJob::cancelledWithTheWhole() {
    const CancelToken token;
    Job whole(token);
    const Job part = partOf(whole, 0, 1);
    part.checkCancelled();
    token.cancel();
    QVERIFY_EXCEPTION_THROWN(part.checkCancelled(), Cancelled);
}

QTEST_APPLESS_MAIN(TestJob)
#include "tst_job.moc"
