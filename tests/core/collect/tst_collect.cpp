// SPDX-License-Identifier: GPL-3.0-or-later
// From a model directory and task files to a dump, through libqkov_core and the library it loads.
#include "base/Error.h"
#include "collect/Capture.h"
#include "core/collect/H5Read.h"
#include "dump/DumpReader.h"
#include "engine/Compute.h"
#include "fisher/Accumulator.h"
#include "model/Checkpoint.h"

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>

#include <cmath>
#include <csignal>
#include <fstream>
#include <random>

using namespace qkov;
using namespace qkov::collect;
using qkov::test::H5Array;
using qkov::test::H5Read;

namespace {

const std::filesystem::path data = std::filesystem::path(QKOV_TEST_DATA) / "collect";
constexpr double goldenTolerance = 1e-5; // float32 passes against float64 autograd
constexpr double storedTolerance = 1e-6; // Fisher on disk is float32
constexpr double halfTolerance = 2e-3;   // float16 factors

CollectRequest request(const std::string& model, const std::filesystem::path& out) {
    CollectRequest r;
    r.model = data / model;
    r.tasks = {{"a", data / model / "samples.jsonl"}};
    r.out = out;
    r.storage = DType::f32;
    r.device = "cpu";
    r.threads = 1;
    return r;
}

CollectSummary run(const CollectRequest& r) {
    Job job;
    return collect::collect(r, job);
}

/// Gradients of a parameter rebuilt from the dump's factors, or as stored dense: [n, d0 · d1].
std::vector<std::vector<double>> gradients(const H5Read& dump, const std::string& name,
                                           bool inOut) {
    std::vector<std::vector<double>> result;
    const std::string dense = "tasks/a/gradients/" + name;
    if (dump.has(dense)) {
        const H5Array g = dump.numbers(dense);
        const std::size_t size = g.values.size() / g.shape[0];
        for (std::size_t i = 0; i < g.shape[0]; ++i) {
            result.emplace_back(g.values.begin() + std::ptrdiff_t(i * size),
                                g.values.begin() + std::ptrdiff_t((i + 1) * size));
        }
        return result;
    }
    const H5Array x = dump.numbers("tasks/a/factors/" + name + "/input");
    const H5Array g = dump.numbers("tasks/a/factors/" + name + "/grad_output");
    const H5Array length = dump.numbers("tasks/a/factors/" + name + "/length");
    const std::size_t T = x.shape[1], in = x.shape[2], out = g.shape[2];
    for (std::size_t i = 0; i < x.shape[0]; ++i) {
        std::vector<double> dense_(in * out, 0.0);
        for (std::size_t t = 0; t < std::size_t(length.values[i]); ++t) {
            for (std::size_t o = 0; o < out; ++o) {
                for (std::size_t k = 0; k < in; ++k) {
                    dense_[inOut ? k * out + o : o * in + k] +=
                        g.values[(i * T + t) * out + o] * x.values[(i * T + t) * in + k];
                }
            }
        }
        result.push_back(std::move(dense_));
    }
    return result;
}

double worst(const std::vector<double>& value, const std::vector<double>& reference) {
    double largest = 0, difference = value.size() == reference.size() ? 0 : INFINITY;
    for (std::size_t k = 0; k < std::min(value.size(), reference.size()); ++k) {
        largest = std::max(largest, std::abs(reference[k]));
        difference = std::max(difference, std::abs(value[k] - reference[k]));
    }
    return largest > 0 ? difference / largest : difference;
}

template <class Body>
QString messageOf(Body&& body) {
    try {
        body();
    } catch (const InputError& e) {
        return QString::fromUtf8(e.what());
    }
    return QStringLiteral("nothing was wrong");
}

QStringList filesIn(const QTemporaryDir& folder) {
    return QDir(folder.path()).entryList(QDir::AllEntries | QDir::NoDotAndDotDot | QDir::Hidden);
}

/// What a child process does: collects, and kills itself at the `killAt`-th report of progress.
int childMain(char** argv) {
    CollectRequest r = request("llama_scaled", argv[2]);
    r.resume = true;
    r.memoryBudget = std::stoll(argv[4]);
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

class TestCollect : public QObject {
    Q_OBJECT

  private slots:
    void dumpEqualsAutograd_data();
    void dumpEqualsAutograd();
    void fisherComesFromStoredNumbers();
    void estimators();
    void behavioralFisherPoolsTypes();
    void demoHasAnInductionHead();
    void samplesAreKept();
    void longSamplesAreCut();
    void badSamples_data();
    void badSamples();
    void badRequests();
    void cancelLeavesNoDump();
    void killedAndResumed();
    void anotherRequestIsNotResumed();
    void estimateCountsWhatIsWritten();
    void torchScriptModules();
    void badTorchScriptModules();
    void capturedScoresEqualTheDumps_data();
    void capturedScoresEqualTheDumps();
};

void TestCollect::dumpEqualsAutograd_data() {
    QTest::addColumn<QString>("model");
    QTest::addColumn<bool>("factored");
    QTest::addColumn<bool>("half");
    for (const char* model : {"gpt2_plain", "gpt2_options", "falcon_grouped", "qwen2", "gptj"}) {
        QTest::addRow("%s factored", model) << model << true << false;
        QTest::addRow("%s dense", model) << model << false << false;
    }
    QTest::newRow("gpt2 float16") << "gpt2_plain" << true << true;
    QTest::newRow("gpt2 dense float16") << "gpt2_plain" << false << true;
}

void TestCollect::dumpEqualsAutograd() {
    QFETCH(QString, model);
    QFETCH(bool, factored);
    QFETCH(bool, half);
    QTemporaryDir folder;
    CollectRequest r = request(model.toStdString(), folder.filePath("d.h5").toStdString());
    r.factored = factored;
    r.storage = half ? DType::f16 : DType::f32;
    const CollectSummary summary = run(r);
    QCOMPARE(filesIn(folder), QStringList("d.h5"));
    QCOMPARE(summary.tasks.at(0).samples, std::int64_t(4));
    const H5Read dump(r.out);

    // The reference has its own file format of the checkpoint's kind: float64 safetensors.
    std::ifstream in(r.model / "expected.safetensors", std::ios::binary);
    std::uint64_t headerLength = 0;
    in.read(reinterpret_cast<char*>(&headerLength), 8);
    QByteArray header(qsizetype(headerLength), ' ');
    in.read(header.data(), header.size());
    const QJsonObject json = QJsonDocument::fromJson(header).object();
    const auto expected = [&](const QString& name) {
        const QJsonArray offsets = json[name]["data_offsets"].toArray();
        std::vector<double> values(std::size_t(offsets[1].toInteger() - offsets[0].toInteger()) /
                                   8);
        in.seekg(std::streamoff(8 + headerLength) + offsets[0].toInteger());
        in.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * 8));
        return values;
    };
    const double tolerance = half ? halfTolerance : goldenTolerance;
    QVERIFY(worst(dump.numbers("tasks/a/samples/loss").values, expected("losses")) <
            goldenTolerance);
    const auto checkpoint = model::Checkpoint::open(r.model);
    int compared = 0;
    for (const auto& p : checkpoint.layout().parameters()) {
        const auto reference = expected(QString::fromStdString(p.name));
        const auto stored = gradients(dump, p.name, p.inOut);
        QCOMPARE(stored.size(), std::size_t(4));
        const std::size_t size = reference.size() / 4;
        for (std::size_t i = 0; i < 4; ++i) {
            const std::vector<double> one(reference.begin() + std::ptrdiff_t(i * size),
                                          reference.begin() + std::ptrdiff_t((i + 1) * size));
            QVERIFY2(worst(stored[i], one) < tolerance, p.name.c_str());
        }
        ++compared;
        if (!p.bias.empty() && p.blocks.front() != Block::O) {
            const H5Array bias = dump.numbers("tasks/a/gradients/" + p.bias);
            const auto biasReference = expected(QString::fromStdString(p.bias));
            QVERIFY2(worst(bias.values, biasReference) < 1e-4 ||
                         p.bias.find("k_proj") != std::string::npos,
                     p.bias.c_str());
        }
    }
    QVERIFY(compared >= 4);
}

void TestCollect::fisherComesFromStoredNumbers() {
    for (const bool factored : {true, false}) {
        QTemporaryDir folder;
        CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
        r.storage = DType::f16;
        r.factored = factored;
        r.emaDecay = 0.9;
        run(r);
        const H5Read dump(r.out);
        for (const std::string name :
             {"transformer.h.0.attn.c_attn.weight", "transformer.h.1.attn.c_proj.weight"}) {
            const auto g = gradients(dump, name, true);
            // Bias-corrected EMA, as the metric defines it.
            std::vector<double> f(g[0].size(), 0.0);
            double power = 1;
            for (const auto& one : g) {
                power *= r.emaDecay;
                for (std::size_t k = 0; k < f.size(); ++k) {
                    f[k] = r.emaDecay * f[k] + (1 - r.emaDecay) * one[k] * one[k];
                }
            }
            for (double& v : f) {
                v /= 1 - power;
            }
            const H5Array stored = dump.numbers("tasks/a/fisher/structural/" + name);
            QVERIFY(worst(stored.values, f) < storedTolerance);
        }
    }
}

void TestCollect::estimators() {
    QTemporaryDir folder;
    CollectRequest r = request("falcon_grouped", folder.filePath("d.h5").toStdString());
    r.estimator = fisher::Estimator::mean;
    r.fisherPerHead = true;
    run(r);
    const H5Read dump(r.out);
    const std::string name = "transformer.h.1.self_attention.query_key_value.weight";
    const H5Array stored = dump.numbers("tasks/a/fisher/structural/" + name);
    const auto g = gradients(dump, name, false);
    const auto checkpoint = model::Checkpoint::open(r.model);
    const auto& shape = checkpoint.shape();
    QCOMPARE(stored.shape, (std::vector<hsize_t>{3, 4}));
    for (std::size_t block = 0; block < 3; ++block) {
        for (std::int64_t i = 0; i < 4; ++i) {
            const double value = stored.values[block * 4 + std::size_t(i)];
            if (block > 0 && i >= shape.numKvHeads) {
                QVERIFY(std::isnan(value));
                continue;
            }
            const std::int64_t head = block == 0 ? i : i * shape.queriesPerKv();
            const auto slice =
                checkpoint.layout().slice(allBlocks[block], LayerIndex(1), HeadIndex(head));
            const auto width = shape.hiddenDim;
            double sum = 0;
            for (const auto& one : g) {
                for (std::int64_t k = slice->start * width;
                     k < (slice->start + slice->length) * width; ++k) {
                    sum += one[std::size_t(k)] * one[std::size_t(k)] / 4;
                }
            }
            const double mean = sum / double(slice->length * width);
            QVERIFY(std::abs(value - mean) < storedTolerance * mean);
        }
    }
}

void TestCollect::behavioralFisherPoolsTypes() {
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("d.h5").toStdString());
    r.behavioralFisher = true;
    run(r);
    const H5Read dump(r.out);
    const H5Array types = dump.numbers("head_types");
    const auto checkpoint = model::Checkpoint::open(r.model);
    const auto& shape = checkpoint.shape();
    QCOMPARE(types.shape, (std::vector<hsize_t>{2, 4}));
    QCOMPARE(dump.numbers("head_scores").shape, (std::vector<hsize_t>{2, 4, 6}));
    constexpr std::size_t mixed = 5;
    int present = 0;
    for (const auto& p : checkpoint.layout().parameters()) {
        const Block block = p.blocks.front();
        const bool shared = block == Block::K || block == Block::V;
        const auto typeOf = [&](std::int64_t h) {
            return std::size_t(types.values[std::size_t(p.layer.value * shape.numHeads + h)]);
        };
        const H5Array elements = dump.numbers("tasks/a/fisher/structural/" + p.name);
        const H5Array pooled = dump.numbers("tasks/a/fisher/behavioral/" + p.name);
        QCOMPARE(pooled.shape, (std::vector<hsize_t>{6}));
        std::array<double, 6> sum{}, count{};
        for (std::int64_t h = 0; h < shape.numHeads; h += shared ? 2 : 1) {
            const std::size_t type = shared && typeOf(h) != typeOf(h + 1) ? mixed : typeOf(h);
            const auto slice = checkpoint.layout().slice(block, p.layer, HeadIndex(h));
            for (std::size_t row = 0; row < elements.shape[0]; ++row) {
                for (std::size_t column = 0; column < elements.shape[1]; ++column) {
                    const auto at = std::int64_t(block == Block::O ? column : row);
                    if (at >= slice->start && at < slice->start + slice->length) {
                        sum[type] += elements.values[row * elements.shape[1] + column];
                        ++count[type];
                    }
                }
            }
        }
        for (std::size_t t = 0; t < 6; ++t) {
            if (count[t] == 0) {
                QVERIFY(std::isnan(pooled.values[t]));
                continue;
            }
            ++present;
            const double mean = sum[t] / count[t];
            QVERIFY2(std::abs(pooled.values[t] - mean) < storedTolerance * mean, p.name.c_str());
        }
    }
    QVERIFY(present >= 8);
}

void TestCollect::demoHasAnInductionHead() {
    QTemporaryDir folder;
    CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    r.model = std::filesystem::path(QKOV_RESOURCES) / "demo";
    r.tasks = {{"arithmetic", r.model / "arithmetic.jsonl"}};
    r.maxSamples = 2;
    r.maxTokens = 16;
    r.headTypes = true;
    run(r);
    const H5Array types = H5Read(r.out).numbers("head_types");
    QVERIFY(std::count(types.values.begin(), types.values.end(), 2.0) > 0);
}

void TestCollect::samplesAreKept() {
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

void TestCollect::longSamplesAreCut() {
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

void TestCollect::badSamples_data() {
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

void TestCollect::badSamples() {
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

void TestCollect::badRequests() {
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

void TestCollect::cancelLeavesNoDump() {
    QTemporaryDir folder;
    const CollectRequest r = request("gpt2_plain", folder.filePath("d.h5").toStdString());
    for (const char* at : {"Reading", "Loading", "Collecting", "Writing"}) {
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

void TestCollect::killedAndResumed() {
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("whole.h5").toStdString());
    // So little that every sample is a batch of its own.
    const CollectEstimate full = estimate(r);
    r.memoryBudget = std::int64_t(full.memoryBytes);
    run(r);
    const auto whole = H5Read(r.out).everything();
    QVERIFY(whole.size() > 20);

    const QString out = folder.filePath("resumed.h5");
    const auto collectInChild = [&](int killAt) {
        QProcess child;
        child.start(QCoreApplication::applicationFilePath(),
                    {"collect", out, QString::number(killAt), QString::number(r.memoryBudget)});
        return child.waitForFinished(60000) && child.exitStatus() == QProcess::NormalExit;
    };
    // A whole run reports its progress about 70 times, a continued one less often.
    std::mt19937 random(20);
    constexpr int kills = 10;
    int killed = 0;
    for (int attempt = 0; killed < kills && attempt < 3 * kills; ++attempt) {
        if (collectInChild(1 + int(random() % 70))) {
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
    for (const auto& [name, bytes] : whole) {
        QVERIFY2(resumed.at(name) == bytes, name.c_str());
    }
    QVERIFY(!QFile::exists(out + ".partial"));
}

void TestCollect::anotherRequestIsNotResumed() {
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

void TestCollect::estimateCountsWhatIsWritten() {
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

void TestCollect::torchScriptModules() {
    QTemporaryDir folder;
    CollectRequest r = request("torchscript", folder.filePath("d.h5").toStdString());
    r.model = data / "torchscript" / "model.pt";
    r.layout = data / "torchscript" / "layout.json";
    r.factored = false;
    QVERIFY(estimate(r).samples == 3);
    run(r);
    QCOMPARE(filesIn(folder), QStringList("d.h5"));
    const H5Read dump(r.out);
    QFile names(QString::fromStdString((data / "torchscript" / "expected.json").string()));
    QFile numbers(QString::fromStdString((data / "torchscript" / "expected.bin").string()));
    QVERIFY(names.open(QIODevice::ReadOnly) && numbers.open(QIODevice::ReadOnly));
    const auto next = [&](std::size_t n) {
        std::vector<double> values(n);
        numbers.read(reinterpret_cast<char*>(values.data()), qint64(n * sizeof(double)));
        return values;
    };
    QVERIFY(worst(dump.numbers("tasks/a/samples/loss").values, next(3)) < goldenTolerance);
    for (const auto& name : QJsonDocument::fromJson(names.readAll()).array()) {
        const H5Array stored = dump.numbers("tasks/a/gradients/" + name.toString().toStdString());
        const auto reference = next(stored.values.size());
        QVERIFY2(worst(stored.values, reference) < goldenTolerance, qPrintable(name.toString()));
    }
    QVERIFY(numbers.atEnd());
    const dump::DumpReader reader(r.out); // finds the heads by the layout that the dump carries
    QCOMPARE(reader.layout().parameters().size(), std::size_t(4));
}

void TestCollect::badTorchScriptModules() {
    QTemporaryDir folder;
    CollectRequest r = request("torchscript", folder.filePath("d.h5").toStdString());
    r.model = data / "torchscript" / "model.pt";
    QVERIFY_EXCEPTION_THROWN(run(r), UsageError); // no layout
    r.layout = data / "torchscript" / "layout.json";
    QVERIFY_EXCEPTION_THROWN(run(r), UsageError); // factored
    r.factored = false;
    QFile file(folder.filePath("model.pt"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("not a module");
    file.close();
    r.model = folder.filePath("model.pt").toStdString();
    QVERIFY(messageOf([&] { run(r); }).contains("is not a TorchScript module"));
    QCOMPARE(filesIn(folder), QStringList("model.pt"));
}

void TestCollect::capturedScoresEqualTheDumps_data() {
    QTest::addColumn<bool>("factored");
    QTest::addColumn<bool>("half");
    QTest::addColumn<bool>("spooled");
    QTest::newRow("factored float16") << true << true << false;
    QTest::newRow("factored float32") << true << false << false;
    QTest::newRow("dense float32") << false << false << false;
    QTest::newRow("spooled") << true << true << true;
}

void TestCollect::capturedScoresEqualTheDumps() {
    QFETCH(bool, factored);
    QFETCH(bool, half);
    QFETCH(bool, spooled);
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("d.h5").toStdString());
    r.tasks.push_back({"b", data / "qwen2" / "samples.jsonl"});
    r.factored = factored;
    r.storage = half ? DType::f16 : DType::f32;
    r.headTypes = true;
    run(r);
    const dump::DumpReader dump(r.out);
    Job job;
    CollectSummary summary;
    if (spooled) {
        r.memoryBudget = std::int64_t(estimate(r).memoryBytes) + 1;
    }
    auto source = collect::capture(r, job, &summary);
    QCOMPARE(QFile::exists(folder.filePath("d.h5.partial")), spooled);
    QCOMPARE(summary.tasks.size(), std::size_t(2));
    for (const bool bias : {false, true}) {
        for (const auto variant : {engine::Variant::magnitude, engine::Variant::signedProduct}) {
            engine::ScoreRequest s;
            s.taskA = "a";
            s.taskB = "b";
            s.variant = variant;
            s.includeBias = bias;
            s.device = "cpu";
            s.threads = 1;
            const auto direct = engine::compute(*source, s, job);
            const auto stored = engine::compute(dump, s, job);
            QCOMPARE(direct->header().request.mode, stored->header().request.mode);
            for (const Block block : allBlocks) {
                for (std::size_t l = 0; l < 2; ++l) {
                    for (std::size_t h = 0; h < 4; ++h) {
                        const auto x = direct->pairs(block, l, h), y = stored->pairs(block, l, h);
                        QCOMPARE(x.size(), std::size_t(16));
                        QVERIFY(worst({x.begin(), x.end()}, {y.begin(), y.end()}) <
                                goldenTolerance);
                    }
                }
            }
            const auto pair =
                engine::scorePair(*source, s, "s1", "s3", LayerIndex(1), HeadIndex(2), job);
            const double entry = stored->pairs(Block::K, 1, 2)[1 * 4 + 3];
            QVERIFY(std::abs(pair.blocks[1].score - entry) < goldenTolerance * std::abs(entry));
        }
    }
    source.reset();
    QCOMPARE(filesIn(folder), QStringList("d.h5"));
}

int main(int argc, char** argv) {
    if (argc == 5 && std::string(argv[1]) == "collect") {
        return childMain(argv);
    }
    QCoreApplication app(argc, argv);
    TestCollect test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_collect.moc"
