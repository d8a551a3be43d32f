// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "ui/figures/SampleFigures.h"

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

using namespace qkov::ui;
using qkov::ui::testing::sampleBlocks;

class TestFigureFiles : public QObject {
    Q_OBJECT

  private slots:
    void jsonGivesTheSameFigure();
    void brokenJsonIsNamed_data();
    void brokenJsonIsNamed();
    void csvHoldsTheNumbersShown();
    void ordering();
};

namespace {

FigureSpec everything() {
    FigureSpec s = sampleBlocks(5, 7);
    s.panels[0].values[3] = std::nan("");
    s.panels[0].states.assign(35, HeatmapData::State::ok);
    s.panels[0].states[4] = HeatmapData::State::notComputed;
    s.panels[0].values[8] = 1.0 / 3;
    s.panels[1].marks.assign(35, QChar());
    s.panels[1].marks[2] = QChar(0x25B8);
    s.panels[1].columnBrackets = {{0, 3, QStringLiteral("kv 0")}, {4, 6, QStringLiteral("kv 1")}};
    s.panels[2].rowLabels = QStringList{"a", "b", "c\"", "d,e", "ü"};
    s.panels[2].rowBands = {{0, 1, QStringLiteral("x")}, {2, 4, QStringLiteral("y")}};
    s.panels[3].significant.assign(35, 0);
    s.panels[3].significant[6] = 1;
    s.panels[3].outlines = {{{1, 1}, {1, 2}}};
    s.range.kind = RangeOptions::Kind::robust;
    s.range.log = true;
    s.annotate = true;
    s.fontPoints = 7;
    s.title = QStringLiteral("“Quotes” and ℓ");
    s.caption = QStringLiteral("A draft.");
    return s;
}

} // namespace

void TestFigureFiles::jsonGivesTheSameFigure() {
    QTemporaryDir dir;
    const FigureSpec spec = everything();
    const std::string json = dir.filePath(QStringLiteral("f.json")).toStdString();
    saveFigure(spec, json);
    const FigureSpec again = loadFigure(json);
    QCOMPARE(figureJson(again), figureJson(spec));
    QCOMPARE(again.panels[0].values[8], 1.0 / 3);
    const auto bytes = [&](const FigureSpec& s) {
        const QString file = dir.filePath(QStringLiteral("f.svg"));
        exportFigure(s, file.toStdString());
        QFile f(file);
        return f.open(QIODevice::ReadOnly) ? f.readAll() : QByteArray();
    };
    const QByteArray first = bytes(spec);
    QVERIFY(first.size() > 10000);
    QCOMPARE(bytes(again), first);
    FigureSpec chart;
    chart.kind = FigureKind::volcano;
    chart.points = {{0.1, 0.2, QStringLiteral("p"), true}};
    chart.bars = {{QStringLiteral("Q"), 1}};
    chart.nullValues = {1, 2.5};
    chart.threshold = 1.3;
    QCOMPARE(figureJson(figureFromJson(figureJson(chart))), figureJson(chart));
}

void TestFigureFiles::brokenJsonIsNamed_data() {
    QTest::addColumn<QByteArray>("from");
    QTest::addColumn<QByteArray>("to");
    QTest::addColumn<QByteArray>("named");
    QTest::newRow("kind") << QByteArray("\"blocks\"") << QByteArray("\"boxes\"")
                          << QByteArray("kind");
    QTest::newRow("map") << QByteArray("\"viridis\"") << QByteArray("\"jet\"")
                         << QByteArray("color_map");
    QTest::newRow("type") << QByteArray("\"dpi\": 300") << QByteArray("\"dpi\": \"x\"")
                          << QByteArray("dpi");
    QTest::newRow("rows") << QByteArray("\"rows\": 5") << QByteArray("\"rows\": 500000000")
                          << QByteArray("panels[0]");
    QTest::newRow("version") << QByteArray("\"qkov_figure\": 1") << QByteArray("\"qkov_figure\": 9")
                             << QByteArray("qkov_figure");
    QTest::newRow("syntax") << QByteArray("{") << QByteArray("[") << QByteArray("JSON");
}

void TestFigureFiles::brokenJsonIsNamed() {
    QFETCH(QByteArray, from);
    QFETCH(QByteArray, to);
    QFETCH(QByteArray, named);
    QByteArray json = figureJson(everything());
    const qsizetype at = json.indexOf(from);
    QVERIFY(at >= 0);
    json.replace(at, from.size(), to);
    try {
        figureFromJson(json, "fig.json");
        QFAIL("accepted");
    } catch (const qkov::InputError& e) {
        const QByteArray what = e.what();
        QVERIFY2(what.contains(named), what);
        QVERIFY2(what.contains("fig.json"), what);
        QVERIFY(!what.contains('\n'));
    }
    QVERIFY_EXCEPTION_THROWN(loadFigure("/no/such/file.json"), qkov::InputError);
}

void TestFigureFiles::csvHoldsTheNumbersShown() {
    const FigureSpec spec = everything();
    const QList<QByteArray> lines = figureCsv(spec).split('\n');
    QCOMPARE(lines[0], QByteArray("panel,row,column,value"));
    QCOMPARE(lines.size(), 4 * 35 + 2);
    QCOMPARE(lines[1 + 3], QByteArray("Q,0,3,NaN"));
    QCOMPARE(lines[1 + 4], QByteArray("Q,0,4,NaN")); // not computed: not shown either
    QCOMPARE(lines[1 + 8], QByteArray("Q,1,1,0.3333333333333333"));
    QVERIFY(lines[1 + 70 + 14].startsWith("V,\"c\"\"\",0,"));
    QVERIFY(lines[1 + 70 + 21].startsWith("V,\"d,e\",0,"));
    for (int n = 0; n < 35; ++n) {
        if (n != 3 && n != 4) {
            const double value = lines[1 + n].split(',')[3].toDouble();
            QCOMPARE(value, spec.panels[0].values[std::size_t(n)]);
        }
    }
}

void TestFigureFiles::ordering() {
    const std::vector<QString> groups{"b", "a", "b", "a", "b"};
    const double nan = std::nan("");
    QCOMPARE(orderByGroup(groups, {1, 5, nan, 7, 3}), (std::vector<std::size_t>{4, 0, 2, 3, 1}));
    QCOMPARE(orderByGroup({}, {1, 5, 3}), (std::vector<std::size_t>{1, 2, 0}));
}

QTEST_MAIN(TestFigureFiles)
#include "tst_figurefiles.moc"
