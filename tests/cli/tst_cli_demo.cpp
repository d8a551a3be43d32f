// SPDX-License-Identifier: GPL-3.0-or-later
// The whole way on the demo: its model and two tasks, collected, computed, exported; every step
// agrees with the next and with a slow reading of the definition.
#include "Program.h"

#ifndef Q_MOC_RUN
#include "dump/DumpReader.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"
#endif

#include <QTemporaryDir>
#include <cmath>

using namespace qkov;
using qkov::test::collectDemo;
using qkov::test::demoModel;
using qkov::test::Outcome;
using qkov::test::run;

class TestCliDemo : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void info();
    void computeIsWhatTheFileHolds();
    void pairEqualsItsEntry_data();
    void pairEqualsItsEntry();
    void headsAddUpToTheBlock();
    void exportsAgree();
    void selections();
    void runIsCollectAndCompute();
    void compareAndCheck();
    void validate();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    QStringList compute(const QStringList& more) const {
        return QStringList{QStringLiteral("compute"),  path("demo.dump"),
                           QStringLiteral("--task-a"), QStringLiteral("arithmetic"),
                           QStringLiteral("--task-b"), QStringLiteral("code")} +
               more;
    }
    QTemporaryDir m_dir;
};

// float32 sums of 10^4 to 10^5 terms against float64 ones.
constexpr double relativeTolerance = 1e-5;

void TestCliDemo::initTestCase() {
    const Outcome o =
        collectDemo(path("demo.dump"), 8, {QStringLiteral("--json"), QStringLiteral("-")});
    QVERIFY2(o.code == 0, o.err.constData());
    const auto j = o.json();
    QCOMPARE(j["tasks"].size(), std::size_t(2));
    for (const auto& task : j["tasks"]) {
        QCOMPARE(task["samples"].get<int>(), 8);
        // A trained model: far below log 256 = 5.55 nats per byte.
        QVERIFY(task["mean_loss"].get<double>() < 2.5);
        QVERIFY(task["mean_loss"].get<double>() > 0.05);
    }
}

void TestCliDemo::info() {
    const Outcome model =
        run({QStringLiteral("info"), demoModel(), QStringLiteral("--json"), QStringLiteral("-")});
    QVERIFY2(model.code == 0, model.err.constData());
    QCOMPARE(model.json()["model"]["num_layers"].get<int>(), 6);
    QCOMPARE(model.json()["model"]["num_heads"].get<int>(), 8);
    QVERIFY(model.json()["missing"].empty());

    const Outcome dump = run(
        {QStringLiteral("info"), path("demo.dump"), QStringLiteral("--json"), QStringLiteral("-")});
    QVERIFY2(dump.code == 0, dump.err.constData());
    const auto j = dump.json();
    QCOMPARE(j["kind"].get<std::string>(), std::string("dump"));
    QCOMPARE(j["tasks"].size(), std::size_t(2));
    QCOMPARE(j["tasks"][0]["name"].get<std::string>(), std::string("arithmetic"));
    QCOMPARE(j["tasks"][0]["samples"][0].get<std::string>(), std::string("arith-001"));
    // c_attn, its bias and c_proj of six layers.
    QCOMPARE(j["tasks"][1]["parameters"].size(), std::size_t(18));
    QCOMPARE(j["tasks"][1]["fisher"][0]["set"].get<std::string>(), std::string("structural"));
}

void TestCliDemo::computeIsWhatTheFileHolds() {
    const Outcome o =
        run(compute({QStringLiteral("--mode"), QStringLiteral("structural"),
                     QStringLiteral("--out"), path("demo.results"), QStringLiteral("--json"),
                     QStringLiteral("-"), QStringLiteral("--top"), QStringLiteral("25")}));
    QVERIFY2(o.code == 0, o.err.constData());
    const auto scores = results::openResults(path("demo.results").toStdString());
    const auto& h = scores->header();
    QCOMPARE(h.layers.size(), std::size_t(6));
    QCOMPARE(h.heads.size(), std::size_t(8));
    QCOMPARE(h.nA(), std::size_t(8));
    QVERIFY(!h.samplesA[0].text.empty() && !h.samplesA[0].group.empty());
    QVERIFY(results::toJson(*scores, 25) == o.json());
    for (const Block b : allBlocks) {
        for (std::size_t l = 0; l < 6; ++l) {
            for (std::size_t c = 0; c < 8; ++c) {
                const auto pairs = scores->pairs(b, l, c);
                QCOMPARE(pairs.size(), std::size_t(64));
                double sum = 0;
                for (const float v : pairs) {
                    QVERIFY(std::isfinite(v) && v >= 0);
                    sum += v;
                }
                QVERIFY(sum > 0);
                QVERIFY(std::abs(scores->mean(b, l, c) - sum / 64) <= 1e-12 * sum);
            }
        }
    }
}

void TestCliDemo::pairEqualsItsEntry_data() {
    QTest::addColumn<QStringList>("options");
    const auto row = [](const char* options) {
        QTest::newRow(options) << QString::fromUtf8(options).split(QLatin1Char(' '));
    };
    row("--mode structural");
    row("--mode structural --variant signed --fisher-task a");
    row("--mode structural --fisher-estimator mean --fisher-task b --aggregate mean");
    row("--mode structural --regularization original --include-bias");
    row("--mode structural --variant cosine");
    row("--mode structural --variant symmetric --grad-scale per_token");
    row("--mode structural --variant natural --epsilon 1e-12 --ridge 1e-9 --ridge-rel 0.1");
    row("--variant profile");
}

void TestCliDemo::pairEqualsItsEntry() {
    QFETCH(QStringList, options);
    const Outcome all =
        run(compute(options + QStringList{QStringLiteral("--out"), path("p.results"),
                                          QStringLiteral("--quiet")}));
    QVERIFY2(all.code == 0, all.err.constData());
    const auto scores = results::openResults(path("p.results").toStdString());
    const auto& h = scores->header();
    // profile's D' is a mean over all samples scored, so the pair has to know them: the request's
    // samples are the pair's own there, and the entry is another number by definition.
    const bool profile = options.contains(QStringLiteral("profile"));
    const std::size_t cells[3][4] = {{0, 0, 0, 0}, {3, 5, 7, 2}, {5, 1, 4, 6}};
    for (const auto& [l, c, i, j] : cells) {
        QStringList arguments{
            QStringLiteral("pair"),       path("demo.dump"),
            QStringLiteral("--task-a"),   QStringLiteral("arithmetic"),
            QStringLiteral("--task-b"),   QStringLiteral("code"),
            QStringLiteral("--sample-i"), QString::fromStdString(h.samplesA[i].id),
            QStringLiteral("--sample-j"), QString::fromStdString(h.samplesB[j].id),
            QStringLiteral("--layer"),    QString::number(l),
            QStringLiteral("--head"),     QString::number(c),
            QStringLiteral("--json"),     QStringLiteral("-")};
        const Outcome one = run(arguments + options);
        QVERIFY2(one.code == 0, one.err.constData());
        for (const Block b : allBlocks) {
            const std::string key(1, blockName(b));
            const double score = one.json()["scores"][key].get<double>();
            const double entry = scores->pairs(b, l, c)[i * h.nB() + j];
            // Terms of both signs cancel: their sum is judged against the size of what is summed.
            const double scale = options.contains(QStringLiteral("signed"))
                                     ? 1e-3 + std::abs(entry)
                                     : std::max(std::abs(entry), 1e-3);
            if (!profile) {
                QVERIFY2(std::abs(score - entry) <= 2 * relativeTolerance * scale,
                         qPrintable(QStringLiteral("%1 against %2").arg(score).arg(entry)));
            }
            QVERIFY(one.json()["diagnostics"][key]["parameters"].get<int>() > 0);
        }
    }
}

/// Σ over the heads of a block = the unsliced block's score, each parameter with its own slice's D.
/// The definition in float64, from the dump's numbers: GPT-2's c_proj, whose rows are O's heads.
void TestCliDemo::headsAddUpToTheBlock() {
    const dump::DumpReader reader(path("demo.dump").toStdString());
    const auto& info = reader.info();
    const dump::TaskInfo& a = *info.task("arithmetic");
    const dump::TaskInfo& b = *info.task("code");
    const auto scores = results::openResults(path("demo.results").toStdString());
    const auto& h = scores->header();
    for (const std::int64_t layer : {0, 3}) {
        const std::string name =
            reader.layout().slice(Block::O, LayerIndex(layer), HeadIndex(0))->parameter;
        const std::int64_t width = info.model.hiddenDim;
        const std::int64_t headRows = info.model.vHeadDim;
        const dump::Region whole{0, width, 0, width};
        const auto n = std::size_t(width * width);
        std::vector<double> fisher(n), other(n), g(n), c(n);
        const auto& setA = a.fisher.at("structural");
        const auto& setB = b.fisher.at("structural");
        reader.readFisherElements(a, setA, name, whole, fisher.data());
        reader.readFisherElements(b, setB, name, whole, other.data());
        for (std::size_t k = 0; k < n; ++k) {
            fisher[k] = (double(setA.samples) * fisher[k] + double(setB.samples) * other[k]) /
                        double(setA.samples + setB.samples);
        }
        const std::int64_t i = 2;
        const std::int64_t j = 5;
        reader.readContributions(a, name, std::span(&i, 1), whole, c.data());
        reader.readGradients(b, name, std::span(&j, 1), whole, g.data());
        double block = 0;
        double heads = 0;
        for (std::int64_t head = 0; head < info.model.numHeads; ++head) {
            const auto first = std::size_t(head * headRows * width);
            const auto last = first + std::size_t(headRows * width);
            double mean = 0;
            for (std::size_t k = first; k < last; ++k) {
                mean += fisher[k] / double(last - first);
            }
            for (std::size_t k = first; k < last; ++k) {
                block += c[k] / (std::max(fisher[k], 1e-30) + 1e-3 * mean) * std::abs(g[k]);
            }
            heads += scores->pairs(Block::O, std::size_t(layer),
                                   std::size_t(head))[std::size_t(i) * h.nB() + std::size_t(j)];
        }
        QVERIFY(block > 0);
        QVERIFY2(std::abs(heads - block) <= relativeTolerance * block,
                 qPrintable(QStringLiteral("%1 against %2").arg(heads).arg(block)));
    }
}

void TestCliDemo::exportsAgree() {
    const auto scores = results::openResults(path("demo.results").toStdString());
    const auto exported = [&](const char* format, const char* out, const QStringList& more) {
        const Outcome o = run(QStringList{QStringLiteral("export"), path("demo.results"),
                                          QStringLiteral("--format"), QString::fromUtf8(format),
                                          QStringLiteral("--out"), path(out)} +
                              more);
        QFile f(path(out));
        return o.code == 0 && f.open(QIODevice::ReadOnly) ? f.readAll() : QByteArray();
    };
    const auto json = nlohmann::json::parse(exported("json", "e.json", {}).toStdString());
    QVERIFY(json == results::toJson(*scores, 100));

    const QList<QByteArray> cells = exported("csv", "cells.csv", {}).trimmed().split('\n');
    QCOMPARE(cells.size(), 1 + 4 * 6 * 8);
    const QList<QByteArray> row = cells[1 + 3 * 48 + 2 * 8 + 7].split(',');
    QCOMPARE(row[0], QByteArray("O"));
    QCOMPARE(row[1], QByteArray("2"));
    QCOMPARE(row[2], QByteArray("7"));
    QCOMPARE(row[5].toDouble(), scores->mean(Block::O, 2, 7));

    const QList<QByteArray> pairs =
        exported("csv", "pairs.csv", {QStringLiteral("--what"), QStringLiteral("pairs")})
            .trimmed()
            .split('\n');
    QCOMPARE(pairs.size(), 1 + 4 * 6 * 8 * 64);
    QCOMPARE(pairs[1 + 64].split(',')[5].trimmed().toFloat(), scores->pairs(Block::Q, 0, 1)[0]);
    QVERIFY(exported("npz", "e.npz", {}).startsWith("PK\x03\x04"));
}

void TestCliDemo::selections() {
    const Outcome o = run(
        compute({QStringLiteral("--mode"), QStringLiteral("structural"), QStringLiteral("--layers"),
                 QStringLiteral("1-2,5"), QStringLiteral("--heads"), QStringLiteral("7,0"),
                 QStringLiteral("--blocks"), QStringLiteral("OV"), QStringLiteral("--samples-a"),
                 QStringLiteral("arith-003,arith-001"), QStringLiteral("--max-samples"),
                 QStringLiteral("3"), QStringLiteral("--json"), QStringLiteral("-")}));
    QVERIFY2(o.code == 0, o.err.constData());
    const auto j = o.json();
    QVERIFY(j["layers"].get<std::vector<int>>() == std::vector<int>({1, 2, 5}));
    QVERIFY(j["heads"].get<std::vector<int>>() == std::vector<int>({0, 7}));
    QVERIFY(j["samples_a"].get<std::vector<std::string>>() ==
            std::vector<std::string>({"arith-003", "arith-001"}));
    QCOMPARE(j["samples_b"].size(), std::size_t(3));
    QCOMPARE(j["blocks"].size(), std::size_t(2));
    // The same numbers as in the whole, where the same samples were averaged.
    const auto whole = results::openResults(path("demo.results").toStdString());
    double sum = 0;
    for (const std::size_t i : {0, 2}) {
        for (std::size_t k = 0; k < 3; ++k) {
            sum += whole->pairs(Block::V, 2, 7)[i * 8 + k];
        }
    }
    const double mean = j["blocks"]["V"]["layer_head_mean"][1][1].get<double>();
    QVERIFY(std::abs(mean - sum / 6) <= relativeTolerance * mean);
}

void TestCliDemo::runIsCollectAndCompute() {
    const Outcome o = run(
        {QStringLiteral("run"), QStringLiteral("--model"), demoModel(), QStringLiteral("--task"),
         QStringLiteral("arithmetic=") + qkov::test::demo("arithmetic.jsonl"),
         QStringLiteral("--task"), QStringLiteral("code=") + qkov::test::demo("code.jsonl"),
         QStringLiteral("--task-a"), QStringLiteral("arithmetic"), QStringLiteral("--task-b"),
         QStringLiteral("code"), QStringLiteral("--max-samples"), QStringLiteral("8"),
         QStringLiteral("--mode"), QStringLiteral("structural"), QStringLiteral("--out"),
         path("run.results"), QStringLiteral("--quiet")});
    QVERIFY2(o.code == 0, o.err.constData());
    const auto direct = results::openResults(path("run.results").toStdString());
    const auto viaDump = results::openResults(path("demo.results").toStdString());
    for (const Block b : allBlocks) {
        for (std::size_t c = 0; c < 8; ++c) {
            const double x = direct->mean(b, 4, c);
            const double y = viaDump->mean(b, 4, c);
            // The dump's stored Fisher is float32; here it never left float64.
            QVERIFY2(std::abs(x - y) <= relativeTolerance * y,
                     qPrintable(QStringLiteral("%1 against %2").arg(x).arg(y)));
        }
    }
}

void TestCliDemo::compareAndCheck() {
    const QStringList tasks{
        path("demo.dump"),          QStringLiteral("--task-a"), QStringLiteral("arithmetic"),
        QStringLiteral("--task-b"), QStringLiteral("code"),     QStringLiteral("--json"),
        QStringLiteral("-")};
    const Outcome check = run(QStringList{QStringLiteral("check")} + tasks);
    QVERIFY2(check.code == 0, check.err.constData());
    const auto checks = check.json();
    QCOMPARE(checks.size(), std::size_t(7));
    QCOMPARE(checks["head_additivity"]["status"].get<std::string>(), std::string("pass"));
    QVERIFY(checks["head_additivity"]["worst"].get<double>() <= relativeTolerance);
    const Outcome compare = run(QStringList{QStringLiteral("compare")} + tasks);
    QVERIFY2(compare.code == 0, compare.err.constData());
    QVERIFY(compare.json().is_object());
}

void TestCliDemo::validate() {
    const Outcome good = run({QStringLiteral("validate"), path("demo.dump"),
                              QStringLiteral("--json"), QStringLiteral("-")});
    QVERIFY2(good.code == 0, good.err.constData());
    QVERIFY(good.json() == nlohmann::json::array());
    const Outcome bad = run({QStringLiteral("validate"), path("demo.results"),
                             QStringLiteral("--json"), QStringLiteral("-")});
    QCOMPARE(bad.code, 3);
    QVERIFY(bad.json().is_array() && !bad.json().empty());
    QCOMPARE(bad.err.count('\n'), 1);
}

QTEST_GUILESS_MAIN(TestCliDemo)
#include "tst_cli_demo.moc"
