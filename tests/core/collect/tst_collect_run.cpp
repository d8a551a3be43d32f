// SPDX-License-Identifier: GPL-3.0-or-later
// A collection that is cancelled, killed, continued, estimated, held to a budget.
#include "collect/CollectPlan.h"
#include "core/collect/CollectFixture.h"

#include <QProcess>
#include <QtTest>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>

using namespace qkov;
using namespace qkov::test;

namespace {

void writeRaggedSamples(const std::filesystem::path& file) {
    std::ofstream out(file);
    std::mt19937 random(3);
    for (int i = 0; i < 6; ++i) {
        out << R"({"id": )" << i << R"(, "input_ids": [1)";
        for (int t = 0; t < 1 + 10 * i; ++t) {
            out << ", " << random() % 40;
        }
        out << "]}\n";
    }
}

CollectRequest demoRequest(const std::filesystem::path& out) {
    CollectRequest r = request("gpt2_plain", out);
    r.model = std::filesystem::path(QKOV_RESOURCES) / "demo";
    r.tasks = {{"arithmetic", r.model / "arithmetic.jsonl"}, {"code", r.model / "code.jsonl"}};
    r.maxSamples = 30;
    r.storage = DType::f16;
    r.headTypes = true;
    r.threads = 2;
    r.memoryBudget = std::int64_t(360) << 20;
    return r;
}

/// A model of a few kB, in what its program takes and little more.
CollectRequest tinyRequest(const std::filesystem::path& out) {
    CollectRequest r = request("qwen2", out);
    r.threads = 2;
    r.memoryBudget = std::int64_t(200'000'000);
    return r;
}

CollectRequest measuredRequest(const std::string& name, const std::filesystem::path& out) {
    if (name == "demo") {
        return demoRequest(out);
    }
    CollectRequest r = tinyRequest(out);
    if (name == "head types") { // of six heads, with patterns larger than all else of the model
        r.model = data / "bloom";
        r.tasks[0].file = r.model / "samples.jsonl";
        r.headTypes = true;
        r.memoryBudget = std::int64_t(220'000'000);
    }
    return r;
}

/// What a child process does: a collection, after which it says how much memory it had at most.
int measuredMain(char** argv) {
    run(measuredRequest(argv[3], argv[2]));
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) {
            std::printf("%s\n", line.substr(6).c_str());
        }
    }
    return 0;
}

/// What another does: collects, and kills itself at the `killAt`-th report of progress.
int childMain(char** argv) {
    CollectRequest r = request("llama_scaled", argv[2]);
    r.resume = true;
    r.tasks[0].file = argv[4];
    r.threads = 2;
    const int killAt = std::atoi(argv[3]);
    int reports = 0;
    Job job(
        {},
        [&](const Progress&) {
            if (++reports == killAt) {
                std::raise(SIGKILL);
            }
        },
        std::chrono::milliseconds(0));
    collect::collect(r, job);
    return 0;
}

} // namespace

class TestCollectRun : public QObject {
    Q_OBJECT

  private slots:
    void cancelLeavesNoDump();
    void killedAndResumed();
    void anotherRequestIsNotResumed();
    void estimateCountsWhatIsWritten();
    void memoryStaysInTheBudget_data();
    void memoryStaysInTheBudget();
    void tooSmallABudget();
    void threadsDoNotChangeNumbers();
};

void TestCollectRun::cancelLeavesNoDump() {
    QTemporaryDir folder;
    const CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    for (const char* at : {"Reading", "Loading", "Collecting", "Writing", "Bringing"}) {
        const CancelToken token;
        Job job(
            token,
            [&](const Progress& p) {
                if (p.stage.starts_with(at)) {
                    token.cancel();
                }
            },
            std::chrono::milliseconds(0));
        QVERIFY_EXCEPTION_THROWN(collect::collect(r, job), Cancelled);
        QVERIFY(!QFile::exists(folder.filePath("d.h5")));
    }
    run(r);
    QCOMPARE(filesIn(folder), QStringList("d.h5"));
}

void TestCollectRun::killedAndResumed() {
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("whole.h5").toStdString());
    // Samples so different in length that nearly each is a batch of its own.
    r.tasks[0].file = folder.filePath("t.jsonl").toStdString();
    writeRaggedSamples(r.tasks[0].file);
    QCOMPARE(planCollect(r, {}).tasks[0].batches.size(), std::size_t(5));
    int reports = 0;
    Job counting(
        {}, [&](const Progress&) { ++reports; }, std::chrono::milliseconds(0));
    collect::collect(r, counting);
    const auto whole = H5Read(r.out).everything();
    QVERIFY(whole.size() > 20);

    const QString out = folder.filePath("resumed.h5");
    const auto collectInChild = [&](int killAt) {
        QProcess child;
        child.start(QCoreApplication::applicationFilePath(),
                    {"collect", out, QString::number(killAt),
                     QString::fromStdString(r.tasks[0].file.string())});
        return child.waitForFinished(60000) && child.exitStatus() == QProcess::NormalExit;
    };
    // A continued run reports its progress less often than a whole one.
    std::mt19937 random(20);
    // QKOV_KILLS=20 for a longer run.
    const int kills =
        qEnvironmentVariableIsSet("QKOV_KILLS") ? qEnvironmentVariableIntValue("QKOV_KILLS") : 10;
    int killed = 0;
    for (int attempt = 0; killed < kills && attempt < 3 * kills; ++attempt) {
        if (collectInChild(1 + int(random() % unsigned(reports)))) {
            QVERIFY(QFile::remove(out)); // got through: once more from the start
        } else {
            ++killed;
            if (QFile::exists(out)) {
                QFile::remove(out); // killed behind its last step
            }
        }
    }
    QCOMPARE(killed, kills);
    QVERIFY(collectInChild(0));
    const auto resumed = H5Read(out.toStdString()).everything();
    QCOMPARE(resumed.size(), whole.size());
    qInfo("killed %d times, then resumed: %zu datasets compared", killed, whole.size());
    for (const auto& [name, bytes] : whole) {
        QVERIFY2(resumed.at(name) == bytes, name.c_str());
    }
    QVERIFY(!QFile::exists(out + ".partial"));
}

void TestCollectRun::anotherRequestIsNotResumed() {
    QTemporaryDir folder;
    CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    const CancelToken token;
    Job job(
        token,
        [&](const Progress& p) {
            if (p.stage.starts_with("Writing")) {
                token.cancel();
            }
        },
        std::chrono::milliseconds(0));
    QVERIFY_EXCEPTION_THROWN(collect::collect(r, job), Cancelled);
    QVERIFY(QFile::exists(folder.filePath("d.h5.partial")));
    r.resume = true;
    r.loss = LossReduction::sum;
    const QString message = messageOf([&] { run(r); });
    QVERIFY2(message.contains("another model, task files or options"), qPrintable(message));
    r.loss = LossReduction::mean;
    const CollectSummary summary = run(r);
    QVERIFY(summary.warnings.at(0).find("4 of 4 samples were already collected") !=
            std::string::npos);
    QCOMPARE(filesIn(folder), QStringList("d.h5"));
}

void TestCollectRun::estimateCountsWhatIsWritten() {
    QTemporaryDir folder;
    const CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    const CollectEstimate e = estimate(r);
    QCOMPARE(filesIn(folder), QStringList());
    QCOMPARE(e.samples, std::int64_t(4));
    QCOMPARE(e.longestTokens, std::int64_t(13));
    QVERIFY(e.seconds > 0 && e.memoryBytes > 0);
    const auto bytes = double(run(r).diskBytes);
    QVERIFY2(e.diskBytes < bytes && bytes < 2 * e.diskBytes + 100e3,
             qPrintable(QStringLiteral("%1 %2").arg(e.diskBytes).arg(bytes)));
}

void TestCollectRun::memoryStaysInTheBudget_data() {
    QTest::addColumn<QString>("model");
    QTest::newRow("demo") << "demo";
    QTest::newRow("tiny") << "tiny";
    QTest::newRow("head types") << "head types";
}

void TestCollectRun::memoryStaysInTheBudget() {
    QFETCH(QString, model);
    QTemporaryDir folder;
    const CollectRequest r =
        measuredRequest(model.toStdString(), folder.filePath("d.h5").toStdString());
    const double planned = estimate(r).memoryBytes;
    QVERIFY(planned <= double(r.memoryBudget));
    QProcess child;
    child.start(QCoreApplication::applicationFilePath(),
                {"measure", QString::fromStdString(r.out.string()), model});
    QVERIFY(child.waitForFinished(60000) && child.exitCode() == 0);
    const double peak =
        child.readAllStandardOutput().simplified().split(' ').first().toDouble() * 1024;
    const QString said = QStringLiteral("planned %1, at most %2").arg(planned).arg(peak);
    QVERIFY2(peak <= double(r.memoryBudget), qPrintable(said));
    QVERIFY2(peak > 0.8 * planned && peak < 1.2 * planned, qPrintable(said));
}

void TestCollectRun::tooSmallABudget() {
    QTemporaryDir folder;
    CollectRequest r = tinyRequest(folder.filePath("d.h5").toStdString());
    r.memoryBudget = std::int64_t(190'000'000);
    const QString message = messageOf([&] { run(r); });
    QVERIFY2(message.contains("195 MB of it for the program and Torch"), qPrintable(message));
    QVERIFY2(message.contains("the budget is 190 MB"), qPrintable(message));
    QCOMPARE(filesIn(folder), QStringList());
}

void TestCollectRun::threadsDoNotChangeNumbers() {
    QTemporaryDir folder;
    for (const bool factored : {true, false}) {
        std::map<std::string, std::vector<char>> first;
        for (const int threads : {1, 3}) {
            CollectRequest r = request("qwen2", folder.filePath("d.h5").toStdString());
            r.tasks.push_back({"b", data / "llama_scaled" / "samples.jsonl"});
            r.factored = factored;
            r.storage = DType::f16;
            r.behavioralFisher = true;
            r.threads = threads;
            run(r);
            auto everything = H5Read(r.out).everything();
            QVERIFY(everything.size() > 20);
            if (first.empty()) {
                first = std::move(everything);
            } else {
                QVERIFY(everything == first);
            }
        }
    }
}

int main(int argc, char** argv) {
    if (argc == 4 && std::string(argv[1]) == "measure") {
        return measuredMain(argv);
    }
    if (argc == 5 && std::string(argv[1]) == "collect") {
        return childMain(argv);
    }
    QCoreApplication app(argc, argv);
    TestCollectRun test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_collect_run.moc"
