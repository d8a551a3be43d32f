// SPDX-License-Identifier: GPL-3.0-or-later
// What a collection is asked for, and what of it is kept.
#include "collect/CollectPlan.h"
#include "core/collect/CollectFixture.h"

#include <QtTest>

using namespace qkov;
using namespace qkov::test;

class TestCollectInput : public QObject {
    Q_OBJECT

  private slots:
    void samplesAreKept();
    void longSamplesAreCut();
    void badSamples_data();
    void badSamples();
    void badRequests();
    void plannedForAGpu();
};

void TestCollectInput::samplesAreKept() {
    QTemporaryDir folder;
    const CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    run(r);
    const H5Read dump(r.out);
    QCOMPARE(dump.strings("tasks/a/samples/id"),
             (std::vector<std::string>{"s0", "s1", "s2", "s3"}));
    QCOMPARE(dump.strings("tasks/a/samples/text")[3], std::string("sample 3"));
    QCOMPARE(dump.strings("tasks/a/samples/group"), (std::vector<std::string>{"a", "b", "a", "b"}));
    // 7, 13, 2 and 9 tokens; of s1 4 at the start and 1 hole are not predicted, of s3 3 and 1.
    QCOMPARE(dump.numbers("tasks/a/samples/n_tokens").values, (std::vector<double>{6, 8, 1, 5}));
}

void TestCollectInput::longSamplesAreCut() {
    QTemporaryDir folder;
    CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.maxTokens = 6;
    const CollectSummary summary = run(r);
    QCOMPARE(summary.tasks[0].truncated, std::int64_t(3));
    QVERIFY(summary.warnings.at(0).find("3 of 4 samples were cut to 6 tokens") !=
            std::string::npos);
    const H5Read dump(r.out);
    QCOMPARE(dump.numbers("tasks/a/factors/transformer.h.0.attn.c_attn.weight/length").values,
             (std::vector<double>{6, 6, 2, 6}));
}

void TestCollectInput::badSamples_data() {
    QTest::addColumn<QByteArray>("lines");
    QTest::addColumn<QStringList>("said");
    const QByteArray good = R"({"id": "x", "input_ids": [1, 2, 3]})"
                            "\n";
    QTest::newRow("broken JSON") << good + "\n{\"id\": \"y\", \"input_ids\": [1, 2\n"
                                 << QStringList{"line 3", "not valid JSON"};
    QTest::newRow("not an object") << QByteArray("[1, 2]\n") << QStringList{"line 1", "object"};
    QTest::newRow("id twice") << good + good << QStringList{"line 2", "\"x\"", "line 1"};
    QTest::newRow("no tokens") << good + R"({"id": 1, "input_ids": []})"
                               << QStringList{"line 2", "input_ids is empty"};
    QTest::newRow("outside the vocabulary")
        << QByteArray(R"({"id": 1, "input_ids": [1, 50]})")
        << QStringList{"line 1", "input_ids[1] is 50", "50 tokens"};
    QTest::newRow("negative") << QByteArray(R"({"id": 1, "input_ids": [1, -1]})")
                              << QStringList{"line 1", "input_ids[1] is -1"};
    QTest::newRow("not an integer") << QByteArray(R"({"id": 1, "input_ids": [1, 1.5]})")
                                    << QStringList{"line 1", "input_ids[1] is 1.5"};
    QTest::newRow("huge") << QByteArray(R"({"id": 1, "input_ids": [1, 99999999999999999999]})")
                          << QStringList{"line 1", "input_ids[1]"};
    QTest::newRow("huge unsigned")
        << QByteArray(R"({"id": 1, "input_ids": [1, 18446744073709551615]})")
        << QStringList{"line 1", "input_ids[1]"};
    QTest::newRow("labels") << QByteArray(R"({"id": 1, "input_ids": [1, 2], "labels": [1]})")
                            << QStringList{"line 1", "1 labels for 2 tokens"};
    QTest::newRow("label outside")
        << QByteArray(R"({"id": 1, "input_ids": [1, 2], "labels": [1, -1]})")
        << QStringList{"line 1", "labels[1] is -1", "-100"};
    QTest::newRow("one token") << QByteArray(R"({"id": 1, "input_ids": [1]})")
                               << QStringList{"line 1", "no token to predict"};
    QTest::newRow("nothing predicted")
        << QByteArray(R"({"id": 1, "input_ids": [1, 2], "labels": [2, -100]})")
        << QStringList{"line 1", "no token to predict"};
    QTest::newRow("neither text nor ids")
        << QByteArray(R"({"id": 1})") << QStringList{"line 1", "text"};
    QTest::newRow("empty") << QByteArray("\n") << QStringList{"no samples"};
}

void TestCollectInput::badSamples() {
    QFETCH(QByteArray, lines);
    QFETCH(QStringList, said);
    QTemporaryDir folder;
    QFile file(folder.filePath("t.jsonl"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(lines);
    file.close();
    CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.tasks[0].file = folder.filePath("t.jsonl").toStdString();
    const QString message = messageOf([&] { run(r); });
    for (const QString& part : said + QStringList{"t.jsonl"}) {
        QVERIFY2(message.contains(part), qPrintable(message));
    }
    QVERIFY(!message.contains('\n'));
    QCOMPARE(filesIn(folder), QStringList("t.jsonl"));
}

void TestCollectInput::badRequests() {
    QTemporaryDir folder;
    CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.memoryBudget = 1000;
    QVERIFY(messageOf([&] { run(r); }).contains("--memory-budget"));
    r = request("gpt2_plain", "/proc/nowhere/d.h5");
    QVERIFY(messageOf([&] { run(r); }).contains("/proc/nowhere"));
    r = request("gpt2_plain", folder.path().toStdString());
    QVERIFY(messageOf([&] { run(r); }).contains("folder"));
    r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.tasks.push_back(r.tasks[0]);
    QVERIFY_EXCEPTION_THROWN(run(r), UsageError);
    r.tasks = {};
    QVERIFY_EXCEPTION_THROWN(run(r), UsageError);
    r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.device = "cuda:99";
    QVERIFY_EXCEPTION_THROWN(run(r), UsageError);
    QCOMPARE(filesIn(folder), QStringList());
}

void TestCollectInput::plannedForAGpu() {
    CollectRequest r = request("gpt2_plain", {});
    r.memoryBudget = 1; // the host's, of no concern here
    PlanDevice gpu;
    gpu.cuda = true;
    gpu.available = gpu.total = 4e9;
    gpu.keep = true;
    const CollectPlan kept = planCollect(r, gpu);
    double perToken = 0;
    for (const RecordedParameter& p : kept.parameters) {
        perToken += double(p.dIn + p.dOut);
    }
    QCOMPARE(kept.storeBytes, (7 + 13 + 2 + 9) * perToken * 4);
    QVERIFY(kept.peakBytes > kept.storeBytes + kept.weightBytes);
    QCOMPARE(kept.workers, 1);

    // Written to disk: what is free at the moment has no say in the batches.
    gpu.keep = false;
    const CollectPlan written = planCollect(r, gpu);
    QCOMPARE(written.storeBytes, 0.0);
    gpu.available = 1e6;
    QVERIFY(planCollect(r, gpu).tasks[0].batches == written.tasks[0].batches);

    const auto messageOf = [&] {
        try {
            planCollect(r, gpu);
        } catch (const InputError& e) {
            return QString::fromUtf8(e.what());
        }
        return QString();
    };
    gpu.keep = true;
    QVERIFY(messageOf().contains("GPU's memory"));
    QVERIFY(messageOf().contains("--device cpu"));
    gpu.available = 4e9;
    QCOMPARE(messageOf(), QString());
    r.deviceBudget = 1000;
    QVERIFY(messageOf().contains("--memory-budget"));
}

QTEST_GUILESS_MAIN(TestCollectInput)
#include "tst_collect_input.moc"
