// SPDX-License-Identifier: GPL-3.0-or-later
// Files that can't be used: exit code 3, one line that says which and where, nothing left behind.
#include "Program.h"

#include <QTemporaryDir>

using namespace qkov::test;

class TestCliInput : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void notOurs_data();
    void notOurs();
    void modelFolders_data();
    void modelFolders();
    void sampleFiles_data();
    void sampleFiles();
    void unwritable_data();
    void unwritable();
    void outputIsAnInput();
    void truncatedDump();
    void unknownNames_data();
    void unknownNames();
    void diskFull();
    void cleanup();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    void write(const char* name, const QByteArray& bytes) const {
        QFile f(path(name));
        QVERIFY(f.open(QIODevice::WriteOnly | QIODevice::Truncate));
        f.write(bytes);
    }
    QTemporaryDir m_dir;
    QString m_dump;
};

void TestCliInput::initTestCase() {
    m_dump = path("demo.dump");
    const Outcome o = collectDemo(m_dump, 3);
    QVERIFY2(o.code == 0, o.err.constData());
}

void TestCliInput::cleanup() {
    for (const QString& name : QDir(m_dir.path()).entryList(QDir::Files)) {
        QVERIFY2(!name.contains(QStringLiteral(".tmp-")), qPrintable(name));
        QVERIFY2(!name.startsWith(QStringLiteral("out")), qPrintable(name));
    }
}

void TestCliInput::notOurs_data() {
    QTest::addColumn<QByteArray>("bytes");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("text") << QByteArray("hello\n");
    QTest::newRow("only a signature") << QByteArray("\x89HDF\r\n\x1a\n");
    QTest::newRow("zeros") << QByteArray(100'000, '\0');
}

void TestCliInput::notOurs() {
    QFETCH(QByteArray, bytes);
    write("file", bytes);
    const QString file = path("file");
    QVERIFY(failed(run({QStringLiteral("info"), file}), 3, "file"));
    QVERIFY(failed(run({QStringLiteral("compute"), file, QStringLiteral("--task-a"),
                        QStringLiteral("a"), QStringLiteral("--task-b"), QStringLiteral("b")}),
                   3, "file"));
    QVERIFY(failed(run({QStringLiteral("export"), file, QStringLiteral("--format"),
                        QStringLiteral("csv"), QStringLiteral("--out"), path("out.csv")}),
                   3, "file"));
    QVERIFY(failed(run({QStringLiteral("info"), path("absent")}), 3, "absent"));
}

void TestCliInput::modelFolders_data() {
    QTest::addColumn<QByteArray>("config");
    QTest::addColumn<QByteArray>("weights");
    QTest::addColumn<QByteArray>("words");
    const QByteArray gpt2 = R"({"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 4,
                                "n_positions": 8, "vocab_size": 8})";
    const auto safetensors = [](const QByteArray& header, int data) {
        QByteArray bytes(8, '\0');
        bytes[0] = char(header.size());
        bytes[1] = char(header.size() >> 8);
        return bytes + header + QByteArray(data, '\0');
    };
    QTest::newRow("broken config") << QByteArray("{") << QByteArray() << QByteArray("config.json");
    QTest::newRow("unknown architecture")
        << QByteArray(R"({"model_type": "abacus", "n_layer": 1, "n_head": 2, "n_embd": 4})")
        << safetensors("{}", 0) << QByteArray("gpt2");
    QTest::newRow("no weights") << gpt2 << QByteArray() << QByteArray("safetensors");
    QTest::newRow("header longer than the file")
        << gpt2 << QByteArray("\xff\xff\xff\x7f\0\0\0\0{}", 10) << QByteArray("header");
    QTest::newRow("data cut off")
        << gpt2
        << safetensors(
               R"({"h.0.attn.c_attn.weight": {"dtype": "F32", "shape": [4, 12], "data_offsets": [0, 192]}})",
               100)
        << QByteArray("h.0.attn.c_attn.weight");
    QTest::newRow("shape disagrees")
        << gpt2
        << safetensors(
               R"({"h.0.attn.c_attn.weight": {"dtype": "F32", "shape": [4, 9], "data_offsets": [0, 144]}})",
               144)
        << QByteArray("[4, 9]");
}

void TestCliInput::modelFolders() {
    QFETCH(QByteArray, config);
    QFETCH(QByteArray, weights);
    QFETCH(QByteArray, words);
    QDir(m_dir.path()).mkpath(QStringLiteral("model"));
    write("model/config.json", config);
    QFile::remove(path("model/model.safetensors"));
    if (!weights.isEmpty()) {
        write("model/model.safetensors", weights);
    }
    QVERIFY(failed(run({QStringLiteral("info"), path("model")}), 3, words.constData()));
}

void TestCliInput::sampleFiles_data() {
    QTest::addColumn<QByteArray>("lines");
    QTest::addColumn<QByteArray>("words");
    const QByteArray good = "{\"id\": \"a\", \"input_ids\": [1, 2, 3]}\n";
    QTest::newRow("empty file") << QByteArray() << QByteArray("out-samples.jsonl");
    QTest::newRow("broken line") << good + good.left(20) + "\n" << QByteArray("2");
    QTest::newRow("not an object") << good + "[1]\n" << QByteArray("2");
    QTest::newRow("an id twice") << good + good << QByteArray("a");
    QTest::newRow("no text, no ids") << QByteArray("{\"id\": \"b\"}\n") << QByteArray("1");
    QTest::newRow("empty sample") << QByteArray("{\"id\": \"b\", \"input_ids\": []}\n")
                                  << QByteArray("1");
    QTest::newRow("outside the vocabulary")
        << QByteArray("{\"id\": \"b\", \"input_ids\": [1, 256, 3]}\n") << QByteArray("256");
    QTest::newRow("negative token")
        << QByteArray("{\"id\": \"b\", \"input_ids\": [1, -1, 3]}\n") << QByteArray("-1");
    QTest::newRow("too few labels")
        << QByteArray("{\"id\": \"b\", \"input_ids\": [1, 2, 3], \"labels\": [1]}\n")
        << QByteArray("label");
}

void TestCliInput::sampleFiles() {
    QFETCH(QByteArray, lines);
    QFETCH(QByteArray, words);
    const QString file = path("samples.jsonl");
    write("samples.jsonl", lines);
    const QStringList arguments{
        QStringLiteral("collect"), QStringLiteral("--model"),   demoModel(),
        QStringLiteral("--task"),  QStringLiteral("t=") + file, QStringLiteral("--out"),
        path("out.dump")};
    words.replace("out-samples.jsonl", "samples.jsonl");
    const Outcome o = run(arguments);
    QVERIFY(failed(o, 3, words.constData()));
    QVERIFY2(o.err.contains("samples.jsonl"), o.err.constData());
}

void TestCliInput::unwritable_data() {
    QTest::addColumn<QString>("place");
    QTest::newRow("no such folder") << QStringLiteral("no/such/folder/out.h5");
    QTest::newRow("a folder") << QStringLiteral(".");
    QTest::newRow("a device") << QStringLiteral("/dev/full");
    QTest::newRow("below a file") << QStringLiteral("demo.dump/out.h5");
}

void TestCliInput::unwritable() {
    QFETCH(QString, place);
    const QString out = place.startsWith(QLatin1Char('/')) ? place : m_dir.filePath(place);
    const QByteArray name = place == QStringLiteral(".") ? QByteArray() : place.toUtf8();
    QVERIFY(failed(collectDemo(out, 1), 3, name.constData()));
    const QStringList compute{QStringLiteral("compute"),  m_dump,
                              QStringLiteral("--task-a"), QStringLiteral("arithmetic"),
                              QStringLiteral("--task-b"), QStringLiteral("code")};
    QVERIFY(failed(run(compute + QStringList{QStringLiteral("--out"), out}), 3, name.constData()));
    QVERIFY(failed(run(compute + QStringList{QStringLiteral("--json"), out}), 3, name.constData()));
    QVERIFY(QFileInfo::exists(QStringLiteral("/dev/full")));
    QVERIFY(!QFileInfo(QStringLiteral("/dev/full")).isFile());
}

void TestCliInput::outputIsAnInput() {
    QVERIFY(failed(run({QStringLiteral("compute"), m_dump, QStringLiteral("--task-a"),
                        QStringLiteral("arithmetic"), QStringLiteral("--task-b"),
                        QStringLiteral("code"), QStringLiteral("--out"), m_dump}),
                   2, "is an input"));
    QVERIFY(failed(collectDemo(demo("code.jsonl"), 1), 2, "is an input"));
}

void TestCliInput::truncatedDump() {
    QFile whole(m_dump);
    QVERIFY(whole.open(QIODevice::ReadOnly));
    const QByteArray bytes = whole.readAll();
    for (int part = 1; part < 8; ++part) {
        write("cut.dump", bytes.left(bytes.size() * part / 8));
        QVERIFY(failed(run({QStringLiteral("info"), path("cut.dump")}), 3, "cut.dump"));
    }
}

void TestCliInput::unknownNames_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("words");
    const auto row = [](const char* name, const char* arguments, const char* words) {
        QTest::newRow(name) << QString::fromUtf8(arguments).split(QLatin1Char(' '))
                            << QByteArray(words);
    };
    row("task", "--task-a cooking --task-b code", "cooking");
    row("layer", "--task-a arithmetic --task-b code --layers 6", "6");
    row("head", "--task-a arithmetic --task-b code --heads 8", "8");
    row("sample", "--task-a arithmetic --task-b code --samples-a arith-001,nobody", "nobody");
}

void TestCliInput::unknownNames() {
    QFETCH(QStringList, arguments);
    QFETCH(QByteArray, words);
    QVERIFY(failed(run(QStringList{QStringLiteral("compute"), m_dump} + arguments +
                       QStringList{QStringLiteral("--out"), path("out.h5")}),
                   2, words.constData()));
}

void TestCliInput::diskFull() {
    // A limit on the size of files stands for the disk's.
    const QString collect =
        QStringLiteral("ulimit -f 200; exec \"$QKOV\" collect --model '%1' --task t='%2' "
                       "--max-samples 8 --storage dense --out '%3'")
            .arg(demoModel(), demo("code.jsonl"), path("out.dump"));
    QVERIFY(failed(shell(collect), 3, "out.dump"));
    const QString compute =
        QStringLiteral("ulimit -f 8; exec \"$QKOV\" compute '%1' --task-a arithmetic --task-b code "
                       "--quiet --out '%2' > /dev/null")
            .arg(m_dump, path("out.h5"));
    QVERIFY(failed(shell(compute), 3, "out.h5"));
}

QTEST_GUILESS_MAIN(TestCliInput)
#include "tst_cli_input.moc"
