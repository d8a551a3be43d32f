// SPDX-License-Identifier: GPL-3.0-or-later
#include "Program.h"

#include <QTemporaryDir>

using namespace qkov::test;

class TestCliFigure : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void everyKind_data();
    void everyKind();
    void besideTheFigure();
    void captionWarns();
    void annotationsAndFonts();
    void refusals();

  private:
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    QTemporaryDir m_dir;
};

void TestCliFigure::initTestCase() {
    QCOMPARE(collectDemo(path("demo.dump"), 4).code, 0);
    QCOMPARE(run({QStringLiteral("compute"), path("demo.dump"), QStringLiteral("--task-a"),
                  QStringLiteral("arithmetic"), QStringLiteral("--task-b"), QStringLiteral("code"),
                  QStringLiteral("--out"), path("demo.results")})
                 .code,
             0);
}

void TestCliFigure::everyKind_data() {
    QTest::addColumn<QString>("kind");
    QTest::addColumn<QString>("file");
    QTest::addColumn<QByteArray>("begins");
    for (const char* kind : {"heatmap", "blocks", "bars", "pairs", "pair"}) {
        const QString k = QString::fromUtf8(kind);
        QTest::addRow("%s pdf", kind) << k << k + QStringLiteral(".pdf") << QByteArray("%PDF-1.");
        QTest::addRow("%s svg", kind) << k << k + QStringLiteral(".svg") << QByteArray("<?xml");
    }
    QTest::newRow("png") << QStringLiteral("blocks") << QStringLiteral("blocks.png")
                         << QByteArray("\x89PNG");
    QTest::newRow("csv") << QStringLiteral("blocks") << QStringLiteral("blocks.csv")
                         << QByteArray("panel,row,column,value");
}

void TestCliFigure::everyKind() {
    QFETCH(QString, kind);
    QFETCH(QString, file);
    QFETCH(QByteArray, begins);
    const QString out = m_dir.filePath(file);
    const Outcome o =
        run({QStringLiteral("figure"), path("demo.results"), QStringLiteral("--kind"), kind,
             QStringLiteral("--out"), out, QStringLiteral("--json"), QStringLiteral("-")});
    QVERIFY2(o.code == 0, o.err.constData());
    QFile f(out);
    QVERIFY(f.open(QIODevice::ReadOnly));
    QVERIFY(f.readAll().startsWith(begins));
    QCOMPARE(o.json()["path"].get<std::string>(), out.toStdString());
    QCOMPARE(o.json()["bytes"].get<qint64>(), f.size());
}

void TestCliFigure::besideTheFigure() {
    QCOMPARE(run({QStringLiteral("figure"), path("demo.results"), QStringLiteral("--out"),
                  path("one.svg"), QStringLiteral("--with"), QStringLiteral("csv,json,caption"),
                  QStringLiteral("--size"), QStringLiteral("140mm"), QStringLiteral("--title"),
                  QStringLiteral("Arithmetic against code")})
                 .code,
             0);
    for (const char* file : {"one.csv", "one.json", "one.txt"}) {
        QVERIFY2(QFileInfo(path(file)).size() > 0, file);
    }
    QCOMPARE(run({QStringLiteral("figure"), QStringLiteral("--from"), path("one.json"),
                  QStringLiteral("--out"), path("two.svg")})
                 .code,
             0);
    QFile one(path("one.svg"));
    QFile two(path("two.svg"));
    QVERIFY(one.open(QIODevice::ReadOnly) && two.open(QIODevice::ReadOnly));
    const QByteArray text = one.readAll();
    QVERIFY(text.contains("Arithmetic against code"));
    QCOMPARE(two.readAll(), text);
}

/// A structural map under task A's own Fisher is nearly a picture of B: its caption says so.
void TestCliFigure::captionWarns() {
    QCOMPARE(run({QStringLiteral("compute"), path("demo.dump"), QStringLiteral("--task-a"),
                  QStringLiteral("arithmetic"), QStringLiteral("--task-b"), QStringLiteral("code"),
                  QStringLiteral("--mode"), QStringLiteral("structural"),
                  QStringLiteral("--fisher-task"), QStringLiteral("a"), QStringLiteral("--out"),
                  path("own.results")})
                 .code,
             0);
    const auto caption = [&](const char* results) {
        const Outcome o = run({QStringLiteral("figure"), path(results), QStringLiteral("--out"),
                               path("caption.svg"), QStringLiteral("--json"), QStringLiteral("-")});
        return o.json()["caption"].get<std::string>();
    };
    QVERIFY(caption("own.results").find("hardly depends on A") != std::string::npos);
    QVERIFY(caption("demo.results").find("hardly depends on A") == std::string::npos);
}

void TestCliFigure::annotationsAndFonts() {
    const auto drawn = [&](const QStringList& more) {
        const Outcome o = run(QStringList{QStringLiteral("figure"), path("demo.results"),
                                          QStringLiteral("--kind"), QStringLiteral("heatmap"),
                                          QStringLiteral("--block"), QStringLiteral("O"),
                                          QStringLiteral("--annotate"), QStringLiteral("--out"),
                                          path("numbers.svg")} +
                              more);
        QFile f(path("numbers.svg"));
        return f.open(QIODevice::ReadOnly) && o.code == 0 ? std::pair(f.readAll(), o.err)
                                                          : std::pair(QByteArray(), o.err);
    };
    const auto two = drawn({});
    const auto one = drawn({QStringLiteral("--annotate-digits"), QStringLiteral("1")});
    QVERIFY(!two.first.isEmpty() && !one.first.isEmpty());
    QVERIFY(one.first.size() < two.first.size());
    QVERIFY(!two.second.contains("not installed"));
    QVERIFY(drawn({QStringLiteral("--font"), QStringLiteral("Nowhere Grotesk")})
                .second.contains("Nowhere Grotesk is not installed"));
    QVERIFY(!drawn({QStringLiteral("--font"), QStringLiteral("serif")})
                 .second.contains("not installed"));
}

void TestCliFigure::refusals() {
    const auto figure = [&](const QStringList& more) {
        return run(QStringList{QStringLiteral("figure"), path("demo.results")} + more);
    };
    QVERIFY(failed(figure({QStringLiteral("--out"), path("x.bmp")}), 2, "pdf"));
    QVERIFY(failed(figure({QStringLiteral("--out"), path("x.pdf"), QStringLiteral("--kind"),
                           QStringLiteral("pie")}),
                   2, "heatmap"));
    QVERIFY(failed(figure({QStringLiteral("--out"), path("x.pdf"), QStringLiteral("--range"),
                           QStringLiteral("2,1")}),
                   2, "--range"));
    QVERIFY(failed(figure({QStringLiteral("--out"), path("x.pdf"), QStringLiteral("--kind"),
                           QStringLiteral("pairs"), QStringLiteral("--layer"), QStringLiteral("77"),
                           QStringLiteral("--head"), QStringLiteral("0")}),
                   2, "layer 77"));
    QVERIFY(failed(figure({QStringLiteral("--out"), path("none/x.pdf")}), 3, "none/x.pdf"));
    QVERIFY(failed(
        run({QStringLiteral("figure"), path("demo.dump"), QStringLiteral("--out"), path("x.pdf")}),
        3, "demo.dump"));
    QVERIFY(!QFileInfo::exists(path("x.pdf")));
}

QTEST_GUILESS_MAIN(TestCliFigure)
#include "tst_cli_figure.moc"
