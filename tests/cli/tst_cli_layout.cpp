// SPDX-License-Identifier: GPL-3.0-or-later
// A dump of an unknown architecture that carries no layout: refused by name, and read by every
// command that is given the layout file.
#include "Program.h"

#include "dump/DumpWriter.h"

#include <QTemporaryDir>

using namespace qkov;
using namespace qkov::test;

class TestCliLayout : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void refusedWithout();
    void readWith_data();
    void readWith();
    void wrongLayouts();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    void write(const char* name, const QByteArray& bytes) const {
        QFile f(path(name));
        QVERIFY(f.open(QIODevice::WriteOnly | QIODevice::Truncate));
        f.write(bytes);
    }
    QTemporaryDir m_dir;
};

void TestCliLayout::initTestCase() {
    model::ModelShape shape;
    shape.name = "m";
    shape.architecture = "mine";
    shape.numLayers = shape.numHeads = shape.numKvHeads = 2;
    shape.headDim = shape.vHeadDim = 4;
    shape.hiddenDim = 8;
    shape.configJson = "{}";
    dump::DumpWriter writer(path("unknown.h5").toStdString(), shape, "test");
    for (const char* task : {"a", "b"}) {
        std::vector<dump::SampleInfo> samples(2);
        samples[0].id = "x";
        samples[1].id = "y";
        writer.beginTask(task, "mean", samples);
        for (const char* name : {"net.0.qkv.weight", "net.1.qkv.weight"}) {
            writer.declareGradients(name, {24, 8}, DType::f32);
            std::vector<float> g(24 * 8 * 2);
            for (std::size_t i = 0; i < g.size(); ++i) {
                g[i] = static_cast<float>(i % 7) - 3;
            }
            writer.writeGradients(name, 0, 2, g.data());
        }
    }
    writer.commit();
    write("layout.json",
          R"x({"name": "mine", "fused": {"parameter": "^net\\.(\\d+)\\.qkv\\.weight$",
              "order": "per_head", "orientation": "out_in"}})x");
}

void TestCliLayout::refusedWithout() {
    const QStringList tasks{"--task-a", "a", "--task-b", "b"};
    QVERIFY(failed(run(QStringList{"info", path("unknown.h5")}), 3, "mine"));
    QVERIFY(failed(run(QStringList{"compute", path("unknown.h5")} + tasks), 3, "layout file"));
    const Outcome validated = run(QStringList{"validate", path("unknown.h5")});
    QCOMPARE(validated.code, 3);
    QVERIFY2(validated.out.contains("layout file"), validated.out.constData());
}

void TestCliLayout::readWith_data() {
    QTest::addColumn<QStringList>("arguments");
    const QStringList tasks{"--task-a", "a", "--task-b", "b"};
    QTest::newRow("info") << QStringList{"info"};
    QTest::newRow("validate") << QStringList{"validate"};
    QTest::newRow("compute") << QStringList{"compute"} + tasks;
    QTest::newRow("check") << QStringList{"check"} + tasks;
    QTest::newRow("compare") << QStringList{"compare"} + tasks;
    QTest::newRow("pair") << QStringList{"pair",    "--sample-i", "x",      "--sample-j", "y",
                                         "--layer", "1",          "--head", "1"} +
                                 tasks;
}

void TestCliLayout::readWith() {
    QFETCH(QStringList, arguments);
    const Outcome o =
        run(arguments + QStringList{path("unknown.h5"), "--layout", path("layout.json")});
    QVERIFY2(o.code == 0, o.err.constData());
    QVERIFY(!o.out.isEmpty());
}

void TestCliLayout::wrongLayouts() {
    const QStringList tasks{"--task-a", "a", "--task-b", "b"};
    write("broken.json", "{");
    QVERIFY(failed(
        run(QStringList{"compute", path("unknown.h5"), "--layout", path("broken.json")} + tasks), 3,
        "broken.json"));
    write("turned.json", R"x({"fused": {"parameter": "^net\\.(\\d+)\\.qkv\\.weight$",
                              "order": "per_head", "orientation": "in_out"}})x");
    const Outcome o =
        run(QStringList{"compute", path("unknown.h5"), "--layout", path("turned.json")} + tasks);
    QVERIFY(failed(o, 3, "[24, 8]"));
    QVERIFY2(o.err.contains("[any, 24]"), o.err.constData()); // both shapes
}

QTEST_GUILESS_MAIN(TestCliLayout)
#include "tst_cli_layout.moc"
