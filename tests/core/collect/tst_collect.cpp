// SPDX-License-Identifier: GPL-3.0-or-later
// From a model directory and task files to a dump, through libqkov_core and the library it loads.
#include "collect/Capture.h"
#include "core/collect/CollectFixture.h"
#include "dump/DumpReader.h"
#include "engine/Compute.h"
#include "fisher/Accumulator.h"
#include "model/Checkpoint.h"

#include <QtTest>

#include <fstream>

using namespace qkov;
using namespace qkov::test;

class TestCollect : public QObject {
    Q_OBJECT

  private slots:
    void dumpEqualsAutograd_data();
    void dumpEqualsAutograd();
    void fisherComesFromStoredNumbers();
    void estimators();
    void behavioralFisherPoolsTypes();
    void demoHasAnInductionHead();
    void torchScriptModules();
    void torchScriptSampleBySample();
    void badTorchScriptModules();
    void capturedScoresEqualTheDumps_data();
    void capturedScoresEqualTheDumps();
};

void TestCollect::dumpEqualsAutograd_data() {
    QTest::addColumn<QString>("model");
    QTest::addColumn<bool>("factored");
    QTest::addColumn<bool>("half");
    for (const QString& model : goldens()) {
        QTest::addRow("%s factored", qPrintable(model)) << model << true << false;
        QTest::addRow("%s dense", qPrintable(model)) << model << false << false;
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

void TestCollect::torchScriptSampleBySample() {
    QTemporaryDir folder;
    CollectRequest r = request("torchscript", folder.filePath("all.h5").toStdString());
    r.model = data / "torchscript" / "model.pt";
    r.layout = data / "torchscript" / "layout.json";
    r.factored = false;
    run(r);
    const H5Read all(r.out);
    std::ifstream lines(r.tasks[0].file);
    std::size_t compared = 0, sample = 0;
    for (std::string line; std::getline(lines, line); ++sample) {
        r.tasks[0].file = folder.filePath("one.jsonl").toStdString();
        std::ofstream(r.tasks[0].file) << line << "\n";
        r.out = folder.filePath(QStringLiteral("%1.h5").arg(sample)).toStdString();
        run(r);
        const H5Read one(r.out);
        const dump::DumpReader reader(r.out);
        for (const auto& p : reader.layout().parameters()) {
            const auto whole = gradients(all, p.name, false);
            const auto single = gradients(one, p.name, false);
            QCOMPARE(single.size(), std::size_t(1));
            QVERIFY(whole.at(sample) == single.front());
            ++compared;
        }
    }
    QCOMPARE(compared, std::size_t(3 * 4));
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

QTEST_GUILESS_MAIN(TestCollect)
#include "tst_collect.moc"
