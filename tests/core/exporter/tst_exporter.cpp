// SPDX-License-Identifier: GPL-3.0-or-later
// Dumps that resources/python wrote (tests/data/exporter) against our own collection of the same
// checkpoint and samples: every score must be equal.
#include "base/Error.h"
#include "collect/Collect.h"
#include "dump/DumpReader.h"
#include "engine/Compute.h"

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <limits>

using namespace qkov;
namespace fs = std::filesystem;

namespace {
constexpr double tolerance = 1e-5; ///< relative to the cell's largest score
const fs::path dataDirectory = fs::path(QKOV_TEST_DATA) / "exporter";

/// What `qkov collect` makes of the checkpoint.
fs::path collected(const std::string& model, bool factored, const QTemporaryDir& folder) {
    collect::CollectRequest request;
    request.model = dataDirectory / model;
    request.tasks = {{"words", request.model / "words.jsonl"},
                     {"code", request.model / "code.jsonl"}};
    request.out = fs::path(folder.path().toStdString()) / (model + ".h5");
    request.factored = factored;
    request.storage = DType::f32;
    request.computeDouble = true;
    request.structuralFisher = false; // the exporter stores none
    Job job;
    collect::collect(request, job);
    return request.out;
}

std::shared_ptr<const engine::Scores> scored(const fs::path& dump, engine::Variant variant,
                                             engine::Estimator estimator) {
    engine::ScoreRequest request;
    request.taskA = "words";
    request.taskB = "code";
    request.mode = engine::Mode::structural;
    request.variant = variant;
    request.estimator = estimator;
    Job job;
    return engine::compute(dump::DumpReader(dump), request, job);
}

/// The largest difference of two results, relative to the largest score of its cell.
double difference(const engine::Scores& a, const engine::Scores& b, int& cells) {
    double worst = 0;
    for (const Block block : {Block::Q, Block::K, Block::V, Block::O}) {
        for (std::size_t layer = 0; layer < a.header().layers.size(); ++layer) {
            for (std::size_t head = 0; head < a.header().heads.size(); ++head) {
                const auto x = a.pairs(block, layer, head), y = b.pairs(block, layer, head);
                if (x.empty() || x.size() != y.size())
                    return std::numeric_limits<double>::infinity();
                double largest = 0, apart = 0;
                for (std::size_t k = 0; k < x.size(); ++k) {
                    if (std::isnan(x[k]) && std::isnan(y[k]))
                        continue; // missing in both: a slice without gradient, in `profile`
                    largest = std::max(largest, std::abs(double(x[k])));
                    const double d = std::abs(double(x[k]) - double(y[k]));
                    apart = std::isfinite(d) ? std::max(apart, d)
                                             : std::numeric_limits<double>::infinity();
                }
                if (largest > 0)
                    ++cells;
                worst = std::max(worst, largest > 0 ? apart / largest : apart);
            }
        }
    }
    return worst;
}
} // namespace

class TestExporter : public QObject {
    Q_OBJECT

  private slots:
    void samplesAreTheSame_data() { models(); }
    void samplesAreTheSame();
    void scoresAreTheSame_data() { models(); }
    void scoresAreTheSame();

  private:
    static void models();
};

void TestExporter::models() {
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("storage");
    for (const char* model : {"gpt2", "llama"}) {
        for (const char* storage : {"factors", "dense"})
            QTest::addRow("%s %s", model, storage) << model << storage;
    }
}

void TestExporter::samplesAreTheSame() {
    QFETCH(QString, model);
    QFETCH(QString, storage);
    const QTemporaryDir folder;
    const dump::DumpReader ours(collected(model.toStdString(), storage == "factors", folder));
    const dump::DumpReader theirs(dataDirectory / model.toStdString() /
                                  (storage.toStdString() + ".h5"));
    QCOMPARE(theirs.info().tasks.size(), ours.info().tasks.size());
    for (const auto& task : ours.info().tasks) {
        const dump::TaskInfo* found = theirs.info().task(task.name);
        QVERIFY(found);
        const auto& other = *found;
        QCOMPARE(other.samples.size(), task.samples.size());
        for (std::size_t i = 0; i < task.samples.size(); ++i) {
            QCOMPARE(other.samples[i].id, task.samples[i].id);
            QCOMPARE(other.samples[i].text, task.samples[i].text);
            QCOMPARE(other.samples[i].group, task.samples[i].group);
            QCOMPARE(other.samples[i].tokens, task.samples[i].tokens);
            QVERIFY(std::abs(other.samples[i].loss - task.samples[i].loss) <=
                    1e-6F * task.samples[i].loss);
        }
    }
}

void TestExporter::scoresAreTheSame() {
    QFETCH(QString, model);
    QFETCH(QString, storage);
    const QTemporaryDir folder;
    const fs::path ours = collected(model.toStdString(), storage == "factors", folder);
    const fs::path theirs = dataDirectory / model.toStdString() / (storage.toStdString() + ".h5");
    using engine::Estimator, engine::Variant;
    for (const Variant variant : {Variant::magnitude, Variant::signedProduct, Variant::symmetric,
                                  Variant::natural, Variant::cosine, Variant::profile}) {
        for (const Estimator estimator : {Estimator::ema, Estimator::mean}) {
            int cells = 0;
            const auto a = scored(ours, variant, estimator), b = scored(theirs, variant, estimator);
            const double apart = difference(*a, *b, cells);
            const QByteArray what =
                QByteArray::fromStdString(engine::name(variant)) + ' ' + QByteArray::number(apart);
            QVERIFY2(apart <= tolerance, what);
            QCOMPARE(cells, 4 * 2 * (model == "gpt2" ? 3 : 4));
        }
    }
}

QTEST_GUILESS_MAIN(TestExporter)
#include "tst_exporter.moc"
