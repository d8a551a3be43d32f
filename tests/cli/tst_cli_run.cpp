// SPDX-License-Identifier: GPL-3.0-or-later
// `run` and `collect` followed by `compute` are two ways to the same numbers.
#include "cli/Program.h"

#include <QTemporaryDir>

#include <cmath>
#include <map>
#include <tuple>

using namespace qkov::test;

namespace {

constexpr double tolerance = 1e-5;     // float32 factors; a Fisher on disk is float32
constexpr double halfTolerance = 2e-3; // float16 factors: a common input has a scale of its own

using Cell = std::tuple<std::string, int, int>; // block, layer, head
using Pair = std::tuple<std::string, std::string>;

std::map<Cell, std::map<Pair, double>> scores(const nlohmann::json& json) {
    std::map<Cell, std::map<Pair, double>> all;
    for (const auto& [block, content] : json["blocks"].items()) {
        for (const auto& c : content["top_conflicts"]) {
            all[{block, c["layer"].get<int>(), c["head"].get<int>()}]
               [{c["sample_i"].dump(), c["sample_j"].dump()}] = c["score"].get<double>();
        }
    }
    return all;
}

QString samples(const char* model) {
    return QStringLiteral(QKOV_TEST_DATA "/collect/") + model + "/samples.jsonl";
}

} // namespace

class TestCliRun : public QObject {
    Q_OBJECT

  private slots:
    void sameNumbers_data();
    void sameNumbers();

  private:
    QTemporaryDir m_folder;
    std::map<QString, QString> m_dumps; ///< of a collection's options
};

void TestCliRun::sameNumbers_data() {
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("collecting"); ///< options of collect and run
    QTest::addColumn<QString>("metric");     ///< of compute and run
    const char* both = "--fisher structural,behavioral --head-types";
    const char* exact = "--dtype f32";
    const auto row = [](const char* model, const QString& collecting, const char* metric) {
        QTest::addRow("%s %s | %s", model, qPrintable(collecting), metric)
            << QString(model) << collecting << QString(metric);
    };
    row("gpt2_plain", QStringLiteral("%1 %2").arg(exact, both), "--mode hybrid --include-bias");
    row("gpt2_plain", QStringLiteral("%1 %2").arg(exact, both),
        "--mode behavioral --include-bias --fisher-task a");
    const char* model = "llama_scaled";
    row(model, QStringLiteral("%1 %2").arg(exact, both), "--mode behavioral --include-bias");
    row(model, QStringLiteral("%1 %2").arg(exact, both),
        "--mode behavioral --variant signed --grad-scale per_token");
    row(model, exact, "--mode structural --include-bias --variant symmetric");
    row(model, QStringLiteral("%1 --head-types").arg(exact), "--mode behavioral --include-bias");
    row(model, exact, "");
    row(model, QStringLiteral("%1 %2").arg(exact, both), "--variant cosine --samples-a s1,s3");
    row(model, QStringLiteral("%1 --storage dense %2").arg(exact, both),
        "--mode hybrid --include-bias --regularization original");
    row(model, QStringLiteral("%1 --loss sum --compute-dtype f64 %2").arg(exact, both),
        "--mode behavioral --include-bias --aggregate mean");
    row(model, QStringLiteral("--dtype f16 %1").arg(both), "--mode hybrid --include-bias");
    row(model, QStringLiteral("%1 --no-bias %2").arg(exact, both), "--mode behavioral");
    // These options mean one thing to `run`; a dump is collected and scored with the same.
    row(model, QStringLiteral("%1 %2 --fisher-estimator mean").arg(exact, both),
        "--mode behavioral --include-bias --fisher-estimator mean");
    row(model, QStringLiteral("%1 %2 --ema-decay 0.6").arg(exact, both),
        "--mode hybrid --include-bias --ema-decay 0.6");
    row(model, QStringLiteral("%1 %2 --max-samples 3").arg(exact, both),
        "--mode behavioral --max-samples 3");
    // An estimator that a stored structural set doesn't have is computed either way.
    row(model, exact, "--mode structural --fisher-estimator mean");
    row(model, QStringLiteral("%1 --fisher behavioral").arg(exact), "--mode hybrid");
}

void TestCliRun::sameNumbers() {
    QFETCH(QString, model);
    QFETCH(QString, collecting);
    QFETCH(QString, metric);
    const QString folder = QStringLiteral(QKOV_TEST_DATA "/collect/") + model;
    const QStringList input{"--model",  folder,
                            "--task",   "a=" + folder + "/samples.jsonl",
                            "--task",   "b=" + samples("qwen2"),
                            "--device", "cpu"};
    const auto words = [](const QString& text) { return text.split(' ', Qt::SkipEmptyParts); };
    const QStringList scoring = words(metric) + QStringList{"--task-a", "a",      "--task-b", "b",
                                                            "--top",    "100000", "--json",   "-"};
    QString& dump = m_dumps[model + collecting];
    if (dump.isEmpty()) {
        dump = m_folder.filePath(QStringLiteral("d%1.h5").arg(m_dumps.size()));
        const Outcome collected =
            run(QStringList{"collect"} + input + words(collecting) + QStringList{"--out", dump});
        QVERIFY2(collected.code == 0, collected.err);
    }
    const Outcome computed = run(QStringList{"compute", dump, "--device", "cpu"} + scoring);
    QVERIFY2(computed.code == 0, computed.err);
    QStringList once = words(collecting);
    for (const char* option : {"--fisher-estimator", "--ema-decay", "--max-samples"}) {
        if (const auto at = once.indexOf(option); at >= 0) {
            QVERIFY(scoring.contains(option) &&
                    scoring.at(scoring.indexOf(option) + 1) == once.at(at + 1));
            once.remove(at, 2);
        }
    }
    const Outcome direct = run(QStringList{"run"} + input + once + scoring);
    QVERIFY2(direct.code == 0, direct.err);

    const auto left = scores(computed.json()), right = scores(direct.json());
    const double limit = collecting.contains("f16") ? halfTolerance : tolerance;
    QVERIFY(left.size() >= 20);
    QCOMPARE(right.size(), left.size());
    for (const auto& [cell, pairs] : left) {
        QVERIFY(right.contains(cell));
        const auto& others = right.at(cell);
        QCOMPARE(others.size(), pairs.size());
        double mean = 0;
        for (const auto& [pair, score] : pairs) {
            mean += std::abs(score) / double(pairs.size());
        }
        for (const auto& [pair, score] : pairs) {
            const QString what = QStringLiteral("%1 layer %2 head %3: %4 and %5")
                                     .arg(QString::fromStdString(std::get<0>(cell)))
                                     .arg(std::get<1>(cell))
                                     .arg(std::get<2>(cell))
                                     .arg(score)
                                     .arg(others.at(pair));
            QVERIFY2(std::abs(score - others.at(pair)) <= limit * mean, qPrintable(what));
        }
    }
    QCOMPARE(direct.json()["most_conflicted_block"], computed.json()["most_conflicted_block"]);
    for (const char* key : {"mode", "fisher_estimator", "ema_decay"}) {
        QVERIFY2(direct.json()["config"].value(key, nlohmann::json()) ==
                     computed.json()["config"].value(key, nlohmann::json()),
                 key);
    }
    QCOMPARE(direct.json()["missing"], computed.json()["missing"]);
}

QTEST_APPLESS_MAIN(TestCliRun)
#include "tst_cli_run.moc"
