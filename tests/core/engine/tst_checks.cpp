// SPDX-License-Identifier: GPL-3.0-or-later
// The sanity checks pass on sound data and fail on data that is deliberately wrong; modes compared.
#include "RandomCase.h"
#include "base/Error.h"
#include "engine/Checks.h"
#include "engine/CompareModes.h"

#include <QtTest>

#include <cmath>
#include <nlohmann/json.hpp>

using namespace qkov;
using namespace qkov::test;
using engine::Check;
using engine::CheckStatus;
using engine::Mode;

namespace {

/// A case with a map large enough to correlate, and no gaps.
std::unique_ptr<Case> sound(unsigned seed, const std::string& architecture) {
    for (;; ++seed) {
        CaseOptions options;
        options.scale = 1;
        options.fixedSamples = 7;
        auto c = randomCase(seed, options);
        const auto& m = c->source.dump.model;
        const bool whole =
            c->source.parameters[0].size() == c->source.parameters[1].size() &&
            c->source.dump.tasks[0].parameters.size() == c->source.dump.tasks[1].parameters.size();
        if (m.architecture != architecture || m.numHeads < 3 || m.numLayers < 2 || !whole ||
            c->source.dump.headTypes.names.empty()) {
            continue;
        }
        bool gaps = false;
        for (std::size_t t = 0; t < 2; ++t) {
            for (const auto& [name, entry] : c->source.dump.tasks[t].parameters) {
                gaps = gaps || !c->source.dump.tasks[1 - t].parameters.contains(name);
            }
        }
        if (gaps) {
            continue;
        }
        c->request = {};
        c->request.taskA = "arithmetic";
        c->request.taskB = "code";
        c->request.device = "cpu";
        return c;
    }
}

const Check& named(const std::vector<Check>& checks, const std::string& name) {
    for (const Check& c : checks) {
        if (c.name == name) {
            return c;
        }
    }
    throw std::logic_error("no check " + name);
}

} // namespace

class TestChecks : public QObject {
    Q_OBJECT

  private slots:
    void passOnSoundData_data();
    void passOnSoundData();
    void additivityFailsOnAWrongLayout();
    void additivityFailsOnOverlappingHeads();
    void dependenceOnAIsNoticed();
    void spearmanByHand();
    void modesCompared();
    void profileHasNoModes();
};

void TestChecks::passOnSoundData_data() {
    QTest::addColumn<QString>("architecture");
    QTest::addColumn<int>("mode");
    for (const char* a : {"gpt2", "gpt_neox", "llama"}) {
        for (const int mode : {0, 1, 2}) {
            QTest::newRow((std::string(a) + " " + std::to_string(mode)).c_str())
                << QString(a) << mode;
        }
    }
}

void TestChecks::passOnSoundData() {
    QFETCH(QString, architecture);
    QFETCH(int, mode);
    const auto c = sound(11, architecture.toStdString());
    c->request.mode = static_cast<Mode>(mode);
    double last = 0;
    Job job({}, [&](const Progress& p) {
        QVERIFY(p.fraction >= last);
        last = p.fraction;
    });
    const auto checks = engine::runChecks(c->source, c->request, job);
    QCOMPARE(checks.size(), std::size_t(7));
    for (const char* name :
         {"head_additivity", "loss_scale", "ablation", "symmetry", "sample_order"}) {
        const Check& check = named(checks, name);
        QVERIFY2(check.status == CheckStatus::pass, (check.name + ": " + check.detail).c_str());
    }
    const auto json = engine::toJson(checks);
    QCOMPARE(json["symmetry"]["status"], "pass");
}

void TestChecks::additivityFailsOnAWrongLayout() {
    const auto c = sound(11, "llama");
    auto& m = c->source.dump.model;
    // A head too few: the last one's parameters belong to nobody.
    m.numHeads -= 1;
    m.numKvHeads = m.numHeads;
    c->source.dump.headTypes = {};
    std::vector<std::string> names;
    for (const auto& [name, entry] : c->source.dump.tasks[0].parameters) {
        names.push_back(name);
    }
    for (auto& task : c->source.dump.tasks) {
        task.fisher.clear();
        // K and V of fewer kv heads would be too small instead; this is about Q and O.
        std::erase_if(task.parameters, [](const auto& p) {
            return p.first.find("k_proj") != std::string::npos ||
                   p.first.find("v_proj") != std::string::npos;
        });
    }
    c->source.heads = std::make_unique<model::HeadLayout>(m, names);
    c->request.mode = Mode::structural;
    Job job;
    const auto checks = engine::runChecks(c->source, c->request, job);
    QVERIFY(named(checks, "head_additivity").status == CheckStatus::fail);
    QVERIFY(named(checks, "head_additivity").worst > 0);
}

void TestChecks::additivityFailsOnOverlappingHeads() {
    const auto c = sound(31, "gpt2");
    auto& m = c->source.dump.model;
    QVERIFY(m.headDim >= 2);
    m.headDim -= 1;
    m.vHeadDim -= 1;
    for (auto& task : c->source.dump.tasks) {
        task.fisher.clear();
    }
    std::vector<std::string> names;
    for (const auto& [name, entry] : c->source.dump.tasks[0].parameters) {
        names.push_back(name);
    }
    c->source.heads = std::make_unique<model::HeadLayout>(m, names);
    Job job;
    const auto checks = engine::runChecks(c->source, c->request, job);
    QVERIFY(named(checks, "head_additivity").status == CheckStatus::fail);
}

void TestChecks::dependenceOnAIsNoticed() {
    const auto c = sound(51, "llama");
    Random r(3);
    for (std::size_t t = 0; t < 2; ++t) {
        dump::TaskInfo& task = c->source.dump.tasks[t];
        task.fisher.clear();
        for (auto& [name, entry] : task.parameters) {
            StoredParameter& p = c->source.parameters[t].at(name);
            const double scale = std::exp(r.normal());
            std::vector<double> g(task.samples.size() *
                                  static_cast<std::size_t>(p.rows * p.columns));
            for (double& v : g) {
                v = scale * r.normal();
            }
            const StoredParameter plain{p.rows, p.columns, {}, {}, {}, {}, {}, {}};
            p = plain;
            p.gradients.assign(DType::f32, g);
            p.rebuilt = p.gradients.values;
            entry.storage = dump::Storage::dense;
            entry.storedContributions = false;
            entry.dtype = DType::f32;
        }
    }
    c->request.mode = Mode::structural;
    c->request.estimator = engine::Estimator::mean;
    c->request.fisherTask = engine::FisherTask::a;
    c->request.regularization.ridgeRelative = 0;
    Job job;
    const auto checks = engine::runChecks(c->source, c->request, job);
    const Check& check = named(checks, "dependence_on_a");
    QVERIFY2(check.status == CheckStatus::fail, check.detail.c_str());
    QVERIFY(check.worst > 0.99);
    // The reason: with the mean Fisher of A itself, the map is mean_j ‖g_j‖₁ wherever A has
    // gradients at all.
    const auto comparison = engine::compareModes(c->source, c->request, 0, job);
    QVERIFY(!comparison.warnings.empty());
}

void TestChecks::spearmanByHand() {
    QCOMPARE(engine::spearman({1, 2, 3, 4}, {10, 20, 30, 40}), 1.0);
    QCOMPARE(engine::spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1.0);
    // scipy.stats.spearmanr([1, 2, 2, 4, 5], [3, 1, 4, 4, 9])
    QVERIFY(std::abs(engine::spearman({1, 2, 2, 4, 5}, {3, 1, 4, 4, 9}) - 0.7631578947368421) <
            1e-12);
    QVERIFY(std::isnan(engine::spearman({1, 2}, {1, 2})));
    QVERIFY(std::isnan(engine::spearman({1, 1, 1}, {1, 2, 3})));
}

void TestChecks::modesCompared() {
    const auto c = sound(71, "llama");
    Job job;
    const auto comparison = engine::compareModes(c->source, c->request, 3, job);
    QCOMPARE(comparison.scores.size(), std::size_t(3));
    QCOMPARE(comparison.differences.size(), std::size_t(3));
    for (std::size_t m = 0; m < 3; ++m) {
        engine::ScoreRequest q = c->request;
        q.mode = *comparison.scores[m]->header().request.mode;
        const auto alone = engine::compute(c->source, q, job);
        for (const Block b : allBlocks) {
            QCOMPARE(float(comparison.scores[m]->mean(b, 0, 0)), float(alone->mean(b, 0, 0)));
        }
    }
    for (const auto& d : comparison.differences) {
        QVERIFY(d.spearman >= -1 && d.spearman <= 1);
        QCOMPARE(d.top, std::size_t(3));
        QVERIFY(d.topOverlap >= 0 && d.topOverlap <= 1);
    }
    const auto json = engine::toJson(comparison);
    QVERIFY(json["modes"].contains("hybrid"));
    QCOMPARE(json["differences"].size(), std::size_t(3));
}

void TestChecks::profileHasNoModes() {
    const auto c = sound(71, "llama");
    c->request.variant = engine::Variant::profile;
    Job job;
    QVERIFY_EXCEPTION_THROWN(engine::compareModes(c->source, c->request, 0, job), UsageError);
}

QTEST_APPLESS_MAIN(TestChecks)
#include "tst_checks.moc"
