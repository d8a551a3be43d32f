// SPDX-License-Identifier: GPL-3.0-or-later
// One input for q, k and v: in the dump once, every gradient unchanged, never at the cost of
// digits.
#include "collect/CollectPlan.h"
#include "collect/SharedInputs.h"
#include "core/collect/CollectFixture.h"
#include "dump/DumpReader.h"
#include "dump/Validate.h"

#include <QtTest>

#include <random>

using namespace qkov;
using namespace qkov::test;

class TestSharedInputs : public QObject {
    Q_OBJECT

  private slots:
    void largest();
    void scalesKeepEveryProduct();
    void differencesTooLarge();
    void storedOnce_data();
    void storedOnce();
    void fisherComesFromTheCommonInput();
    void estimateCountsThemOnce();
};

void TestSharedInputs::largest() {
    const float numbers[5] = {0.25F, -3, 0, 2, -0.0F};
    QCOMPARE(largestStored(numbers, DType::f32, 5), 3.0F);
    QCOMPARE(largestStored(numbers, DType::f32, 0), 0.0F);
    const std::uint16_t halves[4] = {0x3c00, 0xc200, 0x8001, 0x0000}; // 1, −3, −2^-24, 0
    QCOMPARE(largestStored(halves, DType::f16, 4), 3.0F);
    QCOMPARE(largestStored(halves + 2, DType::f16, 2), 0x1p-24F);
}

void TestSharedInputs::scalesKeepEveryProduct() {
    std::mt19937 random(4);
    std::uniform_real_distribution<double> input(-6, 12), gradient(-20, -2);
    int shared = 0;
    for (int round = 0; round < 2000; ++round) {
        // As collecting stores them: each parameter balanced by itself.
        const double x = std::exp2(input(random));
        std::vector<FactorSizes> sizes;
        std::vector<double> products;
        for (int p = 0; p < 3; ++p) {
            const double g = std::exp2(gradient(random));
            const double s = std::exp2(std::round((std::log2(x) - std::log2(g)) / 2));
            sizes.push_back({float(float(x) / s), float(float(g) * s)});
            products.push_back(double(sizes.back().input) * double(sizes.back().gradOutput));
        }
        const auto scale = sharedScale(sizes, false);
        if (!scale) {
            continue;
        }
        ++shared;
        const double stored = std::ldexp(double(sizes[scale->source].input), scale->input);
        QVERIFY(stored <= 65504 && stored > 0);
        for (std::size_t p = 0; p < 3; ++p) {
            const double g = std::ldexp(double(sizes[p].gradOutput), scale->gradOutput[p]);
            QVERIFY(g <= 65504);
            QCOMPARE(stored * g, products[p]); // powers of two: exact
            const double alone = std::sqrt(products[p]);
            QVERIFY(stored >= 0x1p-6 || stored * 8.01 >= alone);
            QVERIFY(g >= 0x1p-6 || g * 8.01 >= alone);
        }
    }
    QVERIFY2(shared > 500, QByteArray::number(shared));
}

void TestSharedInputs::differencesTooLarge() {
    // The second one's gradients are 2^-18 of the first one's: too few digits with one scale, ...
    const FactorSizes far[2] = {{0x1p-3F, 0x1p-3F}, {0x1p-12F, 0x1p-12F}};
    QVERIFY(!sharedScale(far, false));
    // ... unless numbers are so large that float16 has them all the same.
    const FactorSizes large[2] = {{0x1p8F, 0x1p8F}, {0x1p-1F, 0x1p-1F}};
    QVERIFY(sharedScale(large, false));
    // What float32 can't tell from zero decides nothing, but counts where it was computed exactly.
    const FactorSizes noise[2] = {{0x1p-3F, 0x1p-3F}, {0x1p-14F, 0x1p-14F}};
    QVERIFY(sharedScale(noise, false));
    QVERIFY(!sharedScale(noise, true));
    // Inputs that differ by more than a power of two were rounded differently.
    const FactorSizes rounded[2] = {{1, 1}, {1.5F, 1}};
    QVERIFY(!sharedScale(rounded, false));
    const FactorSizes lost[2] = {{1, 1}, {0, 1}};
    QVERIFY(!sharedScale(lost, false));
    const FactorSizes nothing[2] = {{0, 3}, {0, 0}};
    QVERIFY(sharedScale(nothing, true));
    const FactorSizes one[2] = {{8, 0}, {8, 0}};
    QCOMPARE(sharedScale(one, true)->input, 0);
}

void TestSharedInputs::storedOnce_data() {
    QTest::addColumn<QString>("model");
    QTest::addColumn<bool>("half");
    for (const char* model :
         {"llama_scaled", "qwen2", "qwen3", "gemma2", "gptj", "gpt_neo", "opt"}) {
        QTest::addRow("%s float32", model) << model << false;
        QTest::addRow("%s float16", model) << model << true;
    }
}

void TestSharedInputs::storedOnce() {
    QFETCH(QString, model);
    QFETCH(bool, half);
    QTemporaryDir folder;
    CollectRequest r = request(model.toStdString(), folder.filePath("d.h5").toStdString());
    CollectRequest whole = r;
    r.storage = half ? DType::f16 : DType::f32;
    run(r);
    whole.out = folder.filePath("dense.h5").toStdString();
    whole.factored = false;
    run(whole);
    const CollectPlan plan = planCollect(r, {});
    const H5Read dump(r.out), dense(whole.out);
    int links = 0;
    for (std::size_t p = 0; p < plan.parameters.size(); ++p) {
        const std::string& name = plan.parameters[p].name;
        const std::string factors = "tasks/a/factors/";
        if (p > 0) {
            const bool same = dump.same(factors + plan.parameters[p - 1].name + "/input",
                                        factors + name + "/input");
            QCOMPARE(same, plan.parameters[p].sharesInput);
            links += same;
        }
        const auto stored = gradients(dump, name, plan.parameters[p].inOut);
        const auto expected = gradients(dense, name, plan.parameters[p].inOut);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            QVERIFY2(worst(stored[i], expected[i]) < (half ? halfTolerance : goldenTolerance),
                     name.c_str());
        }
    }
    QCOMPARE(links, int(2 * plan.spec.layers));
    Job job;
    QVERIFY(dump::validateDump(r.out, job).empty());
}

void TestSharedInputs::fisherComesFromTheCommonInput() {
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("d.h5").toStdString());
    r.storage = DType::f16;
    r.estimator = fisher::Estimator::mean;
    run(r);
    const H5Read dump(r.out);
    for (const char* projection : {"q_proj", "k_proj", "v_proj"}) {
        const std::string name = std::string("model.layers.1.self_attn.") + projection + ".weight";
        const auto g = gradients(dump, name, false);
        std::vector<double> mean(g[0].size(), 0.0);
        for (const auto& one : g) {
            for (std::size_t k = 0; k < mean.size(); ++k) {
                mean[k] += one[k] * one[k] / double(g.size());
            }
        }
        const auto stored = dump.numbers("tasks/a/fisher/structural/" + name).values;
        QVERIFY(worst(stored, mean) < storedTolerance);
    }
}

void TestSharedInputs::estimateCountsThemOnce() {
    QTemporaryDir folder;
    CollectRequest r = request("llama_scaled", folder.filePath("d.h5").toStdString());
    r.structuralFisher = false;
    r.biasGradients = false;
    // Long samples: numbers, not names, make the file.
    const QString samples = folder.filePath("long.jsonl");
    {
        QFile file(samples);
        QVERIFY(file.open(QIODevice::WriteOnly));
        for (int i = 0; i < 20; ++i) {
            QByteArray ids = "1";
            for (int t = 1; t < 30; ++t) {
                ids += ',' + QByteArray::number((i * 7 + t * 3) % 40);
            }
            file.write("{\"id\": " + QByteArray::number(i) + ", \"input_ids\": [" + ids + "]}\n");
        }
    }
    r.tasks[0].file = samples.toStdString();
    const CollectEstimate e = estimate(r);
    const CollectPlan plan = planCollect(r, {});
    double shared = 0, apart = 0;
    for (const RecordedParameter& p : plan.parameters) {
        shared += double(p.dOut + (p.sharesInput ? 0 : p.dIn)) * 20 * 30 * 4;
        apart += double(p.dOut + p.dIn) * 20 * 30 * 4;
    }
    QCOMPARE(e.diskBytes, shared);
    QCOMPARE(e.peakDiskBytes, shared + apart);
    const auto bytes = double(run(r).diskBytes);
    QVERIFY2(bytes > shared && bytes < 1.1 * shared, QByteArray::number(bytes));
}

QTEST_GUILESS_MAIN(TestSharedInputs)
#include "tst_shared_inputs.moc"
