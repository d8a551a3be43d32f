// SPDX-License-Identifier: GPL-3.0-or-later
// A TorchScript module, by its file and by its folder; a checkpoint with more in it than its config
// makes use of.
#include "Program.h"

#include <QTemporaryDir>

using namespace qkov::test;

class TestCliModule : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void collected_data();
    void collected();
    void described_data();
    void described();
    void pickledWeights();
    void itsFilesAreNotOverwritten();
    void unusedBiases_data();
    void unusedBiases();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    static QString golden(const char* name) {
        return QStringLiteral(QKOV_TEST_DATA "/collect/") + QString::fromUtf8(name);
    }
    static void copy(const char* model, const QString& folder) {
        QVERIFY(QDir().mkpath(folder));
        for (const QString& file : QDir(golden(model)).entryList(QDir::Files)) {
            QVERIFY(QFile::copy(golden(model) + '/' + file, folder + '/' + file));
        }
    }
    QStringList collect(const QString& model, const QString& out) const {
        return {"collect",
                "--model",
                model,
                "--layout",
                path("module/layout.json"),
                "--storage",
                "dense",
                "--task",
                "a=" + path("module/samples.jsonl"),
                "--out",
                out,
                "--device",
                "cpu"};
    }
    QTemporaryDir m_dir;
};

void TestCliModule::initTestCase() {
    copy("torchscript", path("module"));
}

void TestCliModule::collected_data() {
    QTest::addColumn<QString>("model");
    QTest::newRow("file") << path("module/model.pt");
    QTest::newRow("folder") << path("module");
}

void TestCliModule::collected() {
    QFETCH(QString, model);
    const QString out = path(QTest::currentDataTag()) + ".h5";
    const Outcome o = run(collect(model, out) + QStringList{"--json", "-"});
    QVERIFY2(o.code == 0, o.err.constData());
    const Outcome info = run({"info", out, "--json", "-"});
    QCOMPARE(info.code, 0);
    QCOMPARE(info.json()["tasks"][0]["samples"].size(), std::size_t(3));
}

void TestCliModule::described_data() {
    collected_data();
}

void TestCliModule::described() {
    QFETCH(QString, model);
    const Outcome plain = run({"info", model});
    QVERIFY2(plain.code == 0, plain.err.constData());
    for (const char* words :
         {"TorchScript module", "blocks.0.mix.weight [24, 8]", "a layout file"}) {
        QVERIFY2(plain.out.contains(words), plain.out.constData());
    }
    const Outcome with =
        run({"info", model, "--layout", path("module/layout.json"), "--json", "-"});
    QVERIFY2(with.code == 0, with.err.constData());
    const auto json = with.json();
    QCOMPARE(json["kind"].get<std::string>(), std::string("module"));
    QCOMPARE(json["model"]["num_heads"].get<int>(), 2);
    QCOMPARE(json["attention_parameters"].size(), std::size_t(4));
    QCOMPARE(json["tensors"].size(), std::size_t(9));
    // 20·8 of the embedding, and in each block 24·8 + 24 and 8·8 + 8.
    QCOMPARE(json["parameters"].get<int>(), 160 + 2 * (192 + 24 + 64 + 8));
}

void TestCliModule::pickledWeights() {
    QVERIFY(QDir().mkpath(path("pickled")));
    QFile file(path("pickled/model.pt"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("\x80\x02}q\x00.");
    file.close();
    QVERIFY(failed(run({"info", file.fileName()}), 3, "Python exporter"));
    QVERIFY(failed(run({"info", path("pickled")}), 3, "is not a TorchScript module"));
}

void TestCliModule::itsFilesAreNotOverwritten() {
    for (const char* name : {"module/model.pt", "module/layout.json"}) {
        for (const char* model : {"module", "module/model.pt"}) {
            QVERIFY(failed(run(collect(path(model), path(name))), 2, "is an input"));
        }
    }
}

void TestCliModule::unusedBiases_data() {
    QTest::addColumn<bool>("used");
    QTest::newRow("the config has them") << true;
    QTest::newRow("the config has none") << false;
}

void TestCliModule::unusedBiases() {
    QFETCH(bool, used);
    const QString folder = path(used ? "used" : "unused");
    copy("llama_scaled", folder);
    QFile config(folder + "/config.json");
    QVERIFY(config.open(QIODevice::ReadOnly));
    QByteArray text = config.readAll();
    config.close();
    const QByteArray on = "\"attention_bias\": true", off = "\"attention_bias\": false";
    QVERIFY(text.contains(on));
    QVERIFY(config.open(QIODevice::WriteOnly | QIODevice::Truncate));
    config.write(used ? text : text.replace(on, off));
    config.close();
    const QByteArray note = "8 biases in the file are not used, because config.json gives their "
                            "matrices none: model.layers.0.self_attn.q_proj.bias, …";
    const Outcome info = run({"info", folder});
    QVERIFY2(info.code == 0, info.err.constData());
    QVERIFY2(info.out.contains(note) != used, info.out.constData());
    QCOMPARE(run({"info", folder, "--json", "-"}).json()["notes"].size(), std::size_t(!used));
    const Outcome o = run({"collect", "--model", folder, "--task", "a=" + folder + "/samples.jsonl",
                           "--out", folder + ".h5", "--device", "cpu"});
    QVERIFY2(o.code == 0, o.err.constData());
    QVERIFY2(o.err.contains("note: " + note) != used, o.err.constData());
}

QTEST_GUILESS_MAIN(TestCliModule)
#include "tst_cli_module.moc"
