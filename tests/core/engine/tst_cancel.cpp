// SPDX-License-Identifier: GPL-3.0-or-later
// Long work stops within 200 ms of being cancelled, wherever it is; its progress never goes back
// and ends at 1.
#include "base/Error.h"
#include "base/Threads.h"
#include "bench/BenchDump.h"
#include "dump/DumpReader.h"
#include "dump/Validate.h"
#include "engine/Checks.h"
#include "engine/CompareModes.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <thread>

using namespace qkov;

namespace {

using Clock = std::chrono::steady_clock;
using Work = std::function<void(Job&)>;

constexpr double mostSeconds = 0.2;
constexpr int momentsPerWork = 8;

struct Instant {
    Clock::time_point wall = Clock::now();
    double cpu = [] {
        timespec t{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
    }();
};

/// A machine that others keep busy stretches any time on the wall: there, the process's own time.
double lateness(const Instant& asked, const Instant& stopped) {
    double load = 0;
    if (::getloadavg(&load, 1) == 1 && load > defaultThreadCount()) {
        return (stopped.cpu - asked.cpu) / defaultThreadCount();
    }
    return std::chrono::duration<double>(stopped.wall - asked.wall).count();
}

struct Outcome {
    bool cancelled = false;
    double late = 0;
    std::vector<double> fractions; ///< that were reported
    std::string stage;             ///< the last one
    double seconds = 0;
};

/// Runs the work, cancelled `after` seconds from its start or by its report number `report`.
Outcome runOnce(const Work& work, double after, std::size_t report) {
    Outcome out;
    const CancelToken token;
    Instant asked;
    std::atomic<bool> ended{false};
    Job job(
        token,
        [&](const Progress& p) {
            out.fractions.push_back(p.fraction);
            out.stage = p.stage;
            if (out.fractions.size() == report) {
                asked = Instant();
                token.cancel();
            }
        },
        std::chrono::milliseconds(0));
    const auto start = Clock::now();
    std::thread other;
    if (after >= 0) {
        other = std::thread([&] {
            const auto when = start + std::chrono::duration<double>(after);
            while (!ended && Clock::now() < when) {
                std::this_thread::sleep_for(std::chrono::microseconds(200));
            }
            asked = Instant();
            token.cancel();
        });
    }
    Instant stopped;
    try {
        work(job);
        stopped = Instant();
    } catch (const Cancelled&) {
        stopped = Instant();
        out.cancelled = true;
    }
    ended = true;
    if (other.joinable()) {
        other.join();
    }
    out.seconds = std::chrono::duration<double>(stopped.wall - start).count();
    // Work that ends in time after being asked counts as well: it did not keep anyone waiting.
    out.late = token.cancelled() && stopped.wall > asked.wall ? lateness(asked, stopped) : 0;
    return out;
}

} // namespace

class TestCancel : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void stopsSoon_data();
    void stopsSoon();
    void cancelledBefore();

  private:
    std::filesystem::path path(const char* name) const {
        return std::filesystem::path(m_folder.path().toStdString()) / name;
    }
    engine::ScoreRequest request() const {
        engine::ScoreRequest q;
        q.taskA = "a";
        q.taskB = "b";
        q.device = "cpu";
        return q;
    }

    QTemporaryDir m_folder;
    std::unique_ptr<dump::DumpReader> m_reader;
    std::unique_ptr<engine::GradientSource> m_source;
    std::shared_ptr<const engine::Scores> m_scores;
};

void TestCancel::initTestCase() {
    bench::writeDump(path("numbers.h5"), {1, 8, 48, 32});
    bench::writeDump(path("sets.h5"), {96, 1, 8, 2});
    m_reader = std::make_unique<dump::DumpReader>(path("numbers.h5"));
    m_source = engine::makeDumpSource(*m_reader);
    // 31 MB of pairs.
    bench::writeDump(path("pairs.h5"), {1, 8, 8, 500});
    const dump::DumpReader pairs(path("pairs.h5"));
    engine::ScoreRequest q = request();
    q.maxSamples = 500;
    Job job;
    m_scores = engine::compute(pairs, q, job);
}

void TestCancel::stopsSoon_data() {
    QTest::addColumn<Work>("work");
    QTest::addColumn<bool>("reports"); ///< opening has no stages of its own
    const std::vector<engine::Mode> all{engine::Mode::behavioral, engine::Mode::structural,
                                        engine::Mode::hybrid};
    const auto compute = [this](engine::ScoreRequest q) {
        return Work([this, q](Job& job) { engine::compute(*m_source, q, job); });
    };
    QTest::newRow("opening") << Work([this](Job& job) {
        const dump::DumpReader reader(path("sets.h5"), {}, &job);
    }) << false;
    QTest::newRow("validating the structure")
        << Work([this](Job& job) { dump::validateDump(path("sets.h5"), job); }) << true;
    QTest::newRow("validating the numbers")
        << Work([this](Job& job) { dump::validateDump(path("numbers.h5"), job); }) << true;
    QTest::newRow("one mode") << compute(request()) << true;
    QTest::newRow("three modes") << Work([this, all](Job& job) {
        engine::computeModes(*m_source, request(), all, job);
    }) << true;
    engine::ScoreRequest q = request();
    q.memoryBudget = 8 << 20;
    QVERIFY(engine::explain(*m_source, q).repeatedGroups > 0);
    QTest::newRow("several passes") << compute(q) << true;
    q = request();
    q.nonFinite = engine::NonFinite::skip;
    QTest::newRow("leaving samples out") << compute(q) << true;
    for (const engine::Variant v : {engine::Variant::cosine, engine::Variant::profile}) {
        q = request();
        q.variant = v;
        QTest::newRow(engine::name(v).c_str()) << compute(q) << true;
    }
    QTest::newRow("pooled") << Work([this](Job& job) {
        engine::computePooled(*m_source, request(), job);
    }) << true;
    QTest::newRow("many pairs") << Work([this](Job& job) {
        const dump::DumpReader reader(path("pairs.h5"), {}, &job);
        engine::ScoreRequest many = request();
        many.maxSamples = 500;
        engine::compute(reader, many, job);
    }) << true;
    QTest::newRow("pair") << Work([this](Job& job) {
        engine::scorePair(*m_source, request(), "a3", "b5", LayerIndex(0), HeadIndex(1), job);
    }) << true;
    QTest::newRow("comparing modes")
        << Work([this](Job& job) { engine::compareModes(*m_source, request(), 5, job); }) << true;
    QTest::newRow("checks") << Work([this](Job& job) {
        engine::runChecks(*m_source, request(), job);
    }) << true;
    QTest::newRow("writing") << Work([this](Job& job) {
        results::writeResults(path("written.results"), *m_scores, job);
    }) << true;
}

void TestCancel::stopsSoon() {
    QFETCH(Work, work);
    QFETCH(bool, reports);
    const auto undisturbed = [&work] {
        return runOnce(
            [&work](Job& job) {
                work(job);
                job.finish();
            },
            -1, 0);
    };
    const Outcome whole = undisturbed();
    QVERIFY(!whole.cancelled);
    QVERIFY(std::is_sorted(whole.fractions.begin(), whole.fractions.end()));
    QCOMPARE(whole.fractions.back(), 1.0);
    // Reports are the work's own: the last one before finish() has come to 1, too.
    QVERIFY(!reports ||
            (whole.fractions.size() > 1 && whole.fractions[whole.fractions.size() - 2] > 0.999));

    // The first time files come into memory; a busy machine stretches any of them.
    const double seconds = std::min({whole.seconds, undisturbed().seconds, undisturbed().seconds});
    double worst = 0;
    int stopped = 0;
    const auto judge = [&](const Outcome& o) {
        stopped += o.cancelled ? 1 : 0;
        worst = std::max(worst, o.late);
        if (!std::is_sorted(o.fractions.begin(), o.fractions.end()) || o.late > mostSeconds) {
            qWarning() << "late by" << o.late << "s in" << o.stage.c_str();
            return false;
        }
        return true;
    };
    std::mt19937 engine(5);
    for (int k = 0; k < momentsPerWork; ++k) {
        const double share =
            (k + std::uniform_real_distribution<double>(0, 1)(engine)) / momentsPerWork;
        QVERIFY(judge(runOnce(work, share * seconds, 0)));
    }
    const std::size_t all = whole.fractions.size() - 1; // the last is finish()
    const std::size_t step = std::max<std::size_t>(1, all / 3);
    for (std::size_t report = 1; reports && report <= all; report += step) {
        QVERIFY(judge(runOnce(work, -1, report)));
    }
    QVERIFY2(stopped >= momentsPerWork / 4, "the work was over before it could be cancelled");
    qInfo("%.0f ms of work, stopped %d times, at worst after %.1f ms", seconds * 1e3, stopped,
          worst * 1e3);
}

void TestCancel::cancelledBefore() {
    const CancelToken token;
    token.cancel();
    Job job(token);
    // Not "is damaged", though the child that probes the file never says that it is sound.
    QVERIFY_EXCEPTION_THROWN(dump::DumpReader(path("sets.h5"), {}, &job), Cancelled);
    QVERIFY_EXCEPTION_THROWN(dump::validateDump(path("sets.h5"), job), Cancelled);
    QVERIFY_EXCEPTION_THROWN(results::writeResults(path("new.results"), *m_scores, job), Cancelled);
    QVERIFY(!std::filesystem::exists(path("new.results")));
}

QTEST_APPLESS_MAIN(TestCancel)
#include "tst_cancel.moc"
