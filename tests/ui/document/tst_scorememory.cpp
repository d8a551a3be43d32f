// SPDX-License-Identifier: GPL-3.0-or-later
// Going back to what was computed before costs nothing: from memory in one session, from disk in
// the next; other dumps and other options are never mixed up.
#include "document/Document.h"
#include "document/ScoreMemory.h"
#include "dump/DumpWriter.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"
#include "ui/FakeScores.h"

#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <random>

using namespace qkov;
using namespace qkov::ui;

namespace {

/// As if it had taken a minute: nobody computes such a thing unasked.
class SlowScores final : public engine::Scores {
  public:
    explicit SlowScores(std::shared_ptr<const engine::Scores> scores)
        : m_scores(std::move(scores))
        , m_header(m_scores->header()) {
        m_header.totalSeconds = 60;
    }
    const engine::ScoreHeader& header() const override { return m_header; }
    bool computed(std::size_t l) const override { return m_scores->computed(l); }
    double mean(Block b, std::size_t l, std::size_t h) const override {
        return m_scores->mean(b, l, h);
    }
    engine::CellHealth health(Block b, std::size_t l, std::size_t h) const override {
        return m_scores->health(b, l, h);
    }
    std::vector<float> pairs(Block b, std::size_t l, std::size_t h) const override {
        return m_scores->pairs(b, l, h);
    }

  private:
    std::shared_ptr<const engine::Scores> m_scores;
    engine::ScoreHeader m_header;
};

} // namespace

class TestScoreMemory : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        model::ModelShape shape;
        shape.name = "tiny";
        shape.architecture = "gpt2";
        shape.numLayers = shape.numHeads = shape.numKvHeads = 2;
        shape.headDim = shape.vHeadDim = 3;
        shape.hiddenDim = 6;
        shape.configJson = "{}";
        std::mt19937 engine(5);
        std::normal_distribution<float> normal;
        dump::DumpWriter writer(dump().toStdString(), shape, "test");
        for (const char* task : {"a", "b"}) {
            std::vector<dump::SampleInfo> samples(3);
            for (std::size_t i = 0; i < samples.size(); ++i) {
                samples[i].id = std::string("s") + char('0' + i);
            }
            writer.beginTask(task, "mean", samples);
            for (const char* name : {"h.0.attn.c_attn.weight", "h.1.attn.c_attn.weight"}) {
                writer.declareGradients(name, {6, 18}, DType::f32);
                std::vector<float> g(3 * 6 * 18);
                for (float& x : g) {
                    x = normal(engine);
                }
                writer.writeGradients(name, 0, 3, g.data());
            }
        }
        writer.commit();
    }

    void memoryForgetsTheOldest() {
        ScoreMemory memory;
        const auto scores = test::fakeScores();
        memory.keep("x", scores, false);
        QCOMPARE(memory.find("x"), scores);
        QVERIFY(!memory.find("y"));
        const auto other = test::fakeScores();
        memory.keep("x", other, true);
        QCOMPARE(memory.find("x"), other);
        memory.clear();
        QVERIFY(!memory.find("x"));
    }

    void nothingIsKeptUnlessAsked() {
        Document d;
        computed(d);
        QVERIFY(!QDir(m_dir.filePath("cache")).exists());
    }

    void theNextSessionFindsIt() {
        const auto cache = newCache();
        {
            Document d;
            d.setScoreCache(cache);
            computed(d);
            QTRY_VERIFY(cache->find(fingerprint(d), asked(d)) != nullptr);
        }
        Document d;
        d.setScoreCache(cache);
        QSignalSpy shown(&d, &Document::scoresChanged);
        computed(d);
        QCOMPARE(shown.count(), 2); // opened, and all layers at once
        QCOMPARE(d.scores()->header().taskA, std::string("a"));
        // Other options are other scores.
        auto r = d.request();
        r.variant = engine::Variant::signedProduct;
        QVERIFY(cache->find(fingerprint(d), r) == nullptr);
    }

    void slowOnesComeBackWithoutComputing() {
        const auto cache = newCache();
        const dump::DumpReader reader(dump().toStdString());
        Job job;
        engine::ScoreRequest r;
        r.taskA = "a";
        r.taskB = "b";
        r.mode = engine::Mode::structural;
        const QString results = m_dir.filePath("results.h5");
        results::writeResults(results.toStdString(), SlowScores(engine::compute(reader, r, job)),
                              job);
        engine::ScoreRequest other = r;
        other.variant = engine::Variant::signedProduct;
        cache->store(reader.info().fingerprint, other,
                     SlowScores(engine::compute(reader, other, job)));

        Document d;
        d.setScoreCache(cache);
        d.open(results);
        QTRY_VERIFY(d.scores() && d.dump());
        d.setVariant(engine::Variant::signedProduct);
        QVERIFY(d.outdated());
        QTRY_COMPARE(d.scores()->header().request.variant, engine::Variant::signedProduct);
        QVERIFY(!d.outdated());
        QCOMPARE(d.state(), Document::State::ready);
        // Not there: nothing starts by itself, and what is shown stays.
        d.setVariant(engine::Variant::natural);
        QTest::qWait(150);
        QCOMPARE(d.scores()->header().request.variant, engine::Variant::signedProduct);
        QVERIFY(d.outdated() && !d.busy());
        // Back: from memory, in the same turn of the event loop.
        d.setVariant(engine::Variant::magnitude);
        QCOMPARE(d.scores()->header().request.variant, engine::Variant::magnitude);
    }

    void scoresOfAnotherDumpAreNotTaken() {
        Document d;
        computed(d);
        auto r = d.request();
        r.variant = engine::Variant::natural;
        d.keepScores(r, test::fakeScores());
        d.setRequest(r);
        QTRY_COMPARE(d.scores()->header().request.variant, engine::Variant::natural);
        QCOMPARE(d.scores()->header().layers.size(), std::size_t(2));
        QCOMPARE(QString::fromStdString(d.scores()->header().dumpFingerprint),
                 QString::fromStdString(fingerprint(d)));
    }

  private:
    QString dump() const { return m_dir.filePath("tiny.h5"); }
    std::shared_ptr<const engine::ScoreCache> newCache() {
        return std::make_shared<const engine::ScoreCache>(std::filesystem::path(
            m_dir.filePath(QString("cache%1").arg(++m_caches)).toStdString()));
    }
    void computed(Document& d) const {
        d.open(dump());
        QTRY_VERIFY(d.canCompute());
        d.compute();
        QTRY_VERIFY(d.scores() && d.scores()->complete() && d.state() == Document::State::ready);
    }
    static std::string fingerprint(const Document& d) { return d.dump()->info().fingerprint; }
    static engine::ScoreRequest asked(const Document& d) {
        auto r = d.request();
        r.mode = d.mode();
        return r;
    }
    QTemporaryDir m_dir;
    int m_caches = 0;
};

QTEST_MAIN(TestScoreMemory)
#include "tst_scorememory.moc"
