// SPDX-License-Identifier: GPL-3.0-or-later
// NaN and infinity are named wherever they stand; a Fisher of zero normalizes nothing.
#include "RandomCase.h"
#include "base/Error.h"
#include "engine/Compute.h"

#include <QtTest>

#include <array>
#include <cmath>

using namespace qkov;
using namespace qkov::test;
using engine::Mode;

namespace {

/// Dense gradients of three samples a task, and nothing asked for but the structural scores.
auto plainCase(unsigned seed) {
    CaseOptions options;
    options.fixedSamples = 3;
    options.onlyDense = true;
    options.scale = 1;
    auto c = randomCase(seed, options);
    c->request = {};
    c->request.taskA = "arithmetic";
    c->request.taskB = "code";
    c->request.device = "cpu";
    c->request.mode = Mode::structural;
    c->request.exactBelow = 0;
    return c;
}

} // namespace

class TestNonFinite : public QObject {
    Q_OBJECT

  private slots:
    void nonFinite_data();
    void nonFinite();
    void nonFiniteAnywhere_data() { nonFinite_data(); }
    void nonFiniteAnywhere();
    void nothingToNormaliseWith_data() { nonFinite_data(); }
    void nothingToNormaliseWith();
};

void TestNonFinite::nonFinite_data() {
    QTest::addColumn<std::int64_t>("exactBelow");
    QTest::newRow("in float32") << std::int64_t(0);
    QTest::newRow("in float64") << engine::ScoreRequest().exactBelow;
}

void TestNonFinite::nonFinite() {
    QFETCH(std::int64_t, exactBelow);
    CaseOptions options;
    options.fixedSamples = 7;
    options.onlyDense = true;
    options.scale = 1;
    const auto c = randomCase(5, options);
    c->request = {};
    c->request.taskA = "arithmetic";
    c->request.taskB = "code";
    c->request.device = "cpu";
    c->request.mode = Mode::structural;
    c->request.exactBelow = exactBelow;
    c->request.variant = engine::Variant::magnitude;
    auto& parameters = c->source.parameters[1];
    const std::string name = parameters.begin()->first;
    StoredParameter& p = parameters.begin()->second;
    std::vector<double> values = p.gradients.values;
    const std::size_t size = static_cast<std::size_t>(p.rows * p.columns);
    values[3 * size] = std::nan("");
    p.gradients.assign(p.gradients.dtype, values);
    p.rebuilt = p.gradients.values;
    Job job;
    try {
        engine::compute(c->source, c->request, job);
        QFAIL("NaN was accepted");
    } catch (const InputError& e) {
        const std::string text = e.what();
        QVERIFY2(text.find(name) != std::string::npos, text.c_str());
        QVERIFY2(text.find("code3") != std::string::npos, text.c_str());
        QVERIFY2(text.find("[0") != std::string::npos, text.c_str());
    }
    c->request.nonFinite = engine::NonFinite::skip;
    const auto scores = engine::compute(c->source, c->request, job);
    QCOMPARE(scores->header().nB(), std::size_t(6));
    bool told = false;
    for (const std::string& note : scores->header().notes) {
        told = told || note.find("code3") != std::string::npos;
    }
    QVERIFY(told);
    // A single pair leaves out the same samples.
    const auto pair = engine::scorePair(c->source, c->request, "arithmetic1", "code4",
                                        LayerIndex(0), HeadIndex(0), job);
    const float entry = scores->pairs(Block::O, 0, 0)[1 * scores->header().nB() + 3];
    QVERIFY(std::abs(pair.blocks[blockIndex(Block::O)].score - double(entry)) <=
            1e-5 * std::abs(double(entry)));
    for (std::size_t row = 0; row < scores->header().layers.size(); ++row) {
        for (const float v : scores->pairs(Block::Q, row, 0)) {
            QVERIFY(std::isfinite(v));
        }
    }
}

/// Wherever it stands: also in a head's column of a matrix, with good rows behind it.
void TestNonFinite::nonFiniteAnywhere() {
    QFETCH(std::int64_t, exactBelow);
    int placed = 0;
    for (unsigned seed = 40; seed < 112; ++seed) {
        const auto c = plainCase(seed);
        c->request.exactBelow = exactBelow;
        // Also where the Fisher does not cover the task.
        const std::size_t side = seed % 2;
        const std::string bad = side == 1 ? "\"code1\"" : "\"arithmetic1\"";
        c->request.fisherTask = std::array{engine::FisherTask::pooled, engine::FisherTask::a,
                                           engine::FisherTask::b}[seed / 2 % 3];
        c->request.variant =
            std::array{engine::Variant::magnitude, engine::Variant::signedProduct,
                       engine::Variant::symmetric, engine::Variant::natural,
                       engine::Variant::cosine,    engine::Variant::profile}[seed / 6 % 6];
        for (auto& [name, p] : c->source.parameters[side]) {
            const bool weight = p.rows > 1 && p.columns > 1;
            if (!weight || !c->source.parameters[1 - side].contains(name) ||
                p.gradients.values.empty()) {
                continue;
            }
            const std::vector<double> good = p.gradients.values;
            const auto size = static_cast<std::size_t>(p.rows * p.columns);
            for (std::size_t k = size; k < 2 * size; k += 1 + size / 7) {
                std::vector<double> values = good;
                values[k] = k % 2 == 0 ? std::nan("") : HUGE_VAL;
                p.gradients.assign(p.gradients.dtype, values);
                p.rebuilt = p.gradients.values;
                ++placed;
                Job job;
                try {
                    engine::compute(c->source, c->request, job);
                    QFAIL(qPrintable(QString::fromStdString(c->text + " " + name + " at ") +
                                     QString::number(k - size)));
                } catch (const InputError& e) {
                    QVERIFY2(std::string(e.what()).find(bad) != std::string::npos, e.what());
                }
            }
            p.gradients.assign(p.gradients.dtype, good);
            p.rebuilt = p.gradients.values;
        }
    }
    QVERIFY(placed > 200);
}

/// A Fisher of zero: the score is 0 where A's gradients are zero too, else the cell is missing.
void TestNonFinite::nothingToNormaliseWith() {
    QFETCH(std::int64_t, exactBelow);
    int zeros = 0;
    for (unsigned seed = 40; seed < 80; ++seed) {
        const auto c = plainCase(seed);
        c->request.exactBelow = exactBelow;
        c->request.fisherTask = engine::FisherTask::b;
        c->request.estimator = engine::Estimator::mean;
        for (dump::TaskInfo& task : c->source.dump.tasks) {
            task.fisher.clear();
        }
        const bool both = seed % 2 == 0;
        for (std::size_t side = 0; side < 2; ++side) {
            const double value = side == 0 && !both ? 1 : 0;
            for (auto& [name, p] : c->source.parameters[side]) {
                for (StoredNumbers* numbers : {&p.gradients, &p.contributions}) {
                    numbers->assign(numbers->dtype,
                                    std::vector<double>(numbers->values.size(), value));
                }
            }
        }
        Job job;
        const auto scores = engine::compute(c->source, c->request, job);
        for (const Block b : allBlocks) {
            for (std::size_t row = 0; row < scores->header().layers.size(); ++row) {
                for (std::size_t h = 0; h < scores->header().heads.size(); ++h) {
                    for (const float v : scores->pairs(b, row, h)) {
                        QVERIFY2(both ? v == 0 : std::isnan(v), c->text.c_str());
                        zeros += both ? 1 : 0;
                    }
                }
            }
        }
        QVERIFY(both || !scores->header().missing.empty());
    }
    QVERIFY(zeros > 100);
}

QTEST_APPLESS_MAIN(TestNonFinite)
#include "tst_nonfinite.moc"
