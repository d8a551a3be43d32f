// SPDX-License-Identifier: GPL-3.0-or-later
// Dumps that lack something: what is there is scored; where nothing is, that is an error and no
// table of nothing. And what a stored Fisher says of itself is what the results say.
#include "Program.h"

#include "dump/DumpWriter.h"

#include <QTemporaryDir>

using namespace qkov;
using namespace qkov::test;

class TestCliMissing : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void nothing_data();
    void nothing();
    void something();
    void storedDecay_data();
    void storedDecay();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    QTemporaryDir m_dir;
};

void TestCliMissing::initTestCase() {
    model::ModelShape shape;
    shape.name = "m";
    shape.architecture = "gpt2";
    shape.numLayers = shape.numHeads = shape.numKvHeads = 2;
    shape.headDim = shape.vHeadDim = 2;
    shape.hiddenDim = 4;
    shape.configJson = "{}";
    dump::DumpWriter writer(path("d.h5").toStdString(), shape, "test");
    const std::string qkv0 = "h.0.attn.c_attn.weight", o1 = "h.1.attn.c_proj.weight";
    dump::FisherSet fisher;
    fisher.name = "structural";
    fisher.estimator = "ema";
    fisher.samples = 2;
    const auto task = [&](const char* name, const std::vector<std::string>& parameters,
                          double decay) {
        std::vector<dump::SampleInfo> samples(2);
        samples[0].id = "x";
        samples[1].id = "y";
        samples[0].tokens = samples[1].tokens = 3;
        writer.beginTask(name, "mean", samples);
        for (const std::string& p : parameters) {
            const std::vector<std::int64_t> dims{4, p == qkv0 ? 12 : 4};
            std::vector<float> g(static_cast<std::size_t>(2 * dims[0] * dims[1]));
            for (std::size_t i = 0; i < g.size(); ++i) {
                g[i] = static_cast<float>(i % 7) - 3;
            }
            if (std::string(name) == "squares") {
                for (float& v : g) {
                    v *= v;
                }
                writer.declareContributions(p, dims, DType::f32, false);
                writer.writeContributions(p, 0, 2, g.data());
            } else {
                writer.declareGradients(p, dims, DType::f32);
                writer.writeGradients(p, 0, 2, g.data());
            }
            if (decay > 0) {
                fisher.decay = decay;
                const std::vector<double> values(g.size() / 2, 0.5);
                writer.writeFisher(fisher, {p, dims, dump::Resolution::element, false}, values);
            }
        }
    };
    task("a", {qkv0, o1}, 0.8);
    task("b", {qkv0, o1}, 0.8);
    task("other", {qkv0, o1}, 0.6);
    task("unweighed", {qkv0, o1}, 0);
    task("first", {qkv0}, 0);
    task("last", {o1}, 0);
    task("empty", {}, 0);
    task("squares", {qkv0, o1}, 0);
    writer.commit();
}

void TestCliMissing::nothing_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("message");
    const auto tasks = [](const char* a, const char* b) {
        return QStringList{"--task-a", a, "--task-b", b};
    };
    const QString none = "holds no gradients", apart = "no gradients of a common parameter";
    QTest::newRow("compute") << QStringList{"compute"} + tasks("a", "empty") << none;
    QTest::newRow("task a") << QStringList{"compute"} + tasks("empty", "b") << none;
    QTest::newRow("compare") << QStringList{"compare"} + tasks("a", "empty") << none;
    QTest::newRow("check") << QStringList{"check"} + tasks("a", "empty") << none;
    QTest::newRow("pair") << QStringList{"pair",    "--sample-i", "x",      "--sample-j", "y",
                                         "--layer", "0",          "--head", "0"} +
                                 tasks("a", "empty")
                          << none;
    QTest::newRow("apart") << QStringList{"compute"} + tasks("first", "last") << apart;
    QTest::newRow("other layer") << QStringList{"compute", "--layers", "0"} + tasks("a", "last")
                                 << apart;
    QTest::newRow("other block") << QStringList{"compute", "--blocks", "O"} + tasks("a", "first")
                                 << apart;
    QTest::newRow("pair elsewhere")
        << QStringList{"pair",    "--sample-i", "x",      "--sample-j", "y",
                       "--layer", "1",          "--head", "0"} +
               tasks("a", "first")
        << "nothing of this pair";
    QTest::newRow("no signs") << QStringList{"compute", "--variant", "signed"} +
                                     tasks("squares", "a")
                              << "signed";
}

void TestCliMissing::nothing() {
    QFETCH(QStringList, arguments);
    QFETCH(QString, message);
    if (arguments.first() == "compute") {
        arguments += {"--out", path("out.h5")};
    }
    QVERIFY(failed(run(arguments + QStringList{path("d.h5")}), 3, qPrintable(message)));
    QVERIFY(!QFile::exists(path("out.h5")));
}

void TestCliMissing::something() {
    const Outcome o = run(
        QStringList{"compute", path("d.h5"), "--task-a", "a", "--task-b", "last", "--json", "-"});
    QVERIFY2(o.code == 0, o.err.constData());
    const auto json = o.json();
    QVERIFY(!json["missing"].empty());
    QVERIFY(json["blocks"]["O"]["layer_head_mean"][0][0].is_null());
    QVERIFY(json["blocks"]["O"]["layer_head_mean"][1][0].is_number());
}

void TestCliMissing::storedDecay_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<double>("decay");
    QTest::addColumn<bool>("told");
    const auto row = [](const char* name, const QStringList& arguments, double decay,
                        bool told = false) { QTest::newRow(name) << arguments << decay << told; };
    row("stored", {"--task-a", "a", "--task-b", "b"}, 0.8);
    row("stored, another asked for", {"--task-a", "a", "--task-b", "b", "--ema-decay", "0.9"}, 0.8,
        true);
    row("computed as asked for", {"--task-a", "a", "--task-b", "unweighed", "--ema-decay", "0.9"},
        0.9);
    row("two decays", {"--task-a", "a", "--task-b", "other"}, 0.99);
    row("of one task", {"--task-a", "a", "--task-b", "other", "--fisher-task", "b"}, 0.6);
}

void TestCliMissing::storedDecay() {
    QFETCH(QStringList, arguments);
    QFETCH(double, decay);
    QFETCH(bool, told);
    const Outcome o = run(QStringList{"compute", path("d.h5"), "--json", "-"} + arguments);
    QVERIFY2(o.code == 0, o.err.constData());
    QCOMPARE(o.json()["config"]["ema_decay"].get<double>(), decay);
    QCOMPARE(o.err.contains("whose decay is"), told);
}

QTEST_GUILESS_MAIN(TestCliMissing)
#include "tst_cli_missing.moc"
