// SPDX-License-Identifier: GPL-3.0-or-later
// What comes out of a printer: checked with poppler's tools.
#include "base/Error.h"
#include "figures/FigurePainter.h"
#include "ui/figures/PrintedFigures.h"
#include "ui/figures/SampleFigures.h"

#include <QDir>
#include <QFile>
#include <QPainter>
#include <QProcess>
#include <QRegularExpression>
#include <QStandardPaths>
#include <QSvgRenderer>
#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <set>

using namespace qkov::ui;
using qkov::ui::testing::sampleBlocks;
using qkov::ui::testing::sampleMap;
using namespace qkov::ui::testing;

class TestFigures : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void svgIsVectorAndLooksTheSame();
    void pngHasItsResolution();
    void everyKindDraws();
    void linesAndTextAreLargeEnough();
    void nothingIsLeftBehind();
    void formats();
    void sizes();
    void screenAndPaperAgree();
    void panelsHaveOneSize();
    void textsAreEditable();

  private:
    QTemporaryDir m_dir;
    QString file(const char* name) const { return m_dir.filePath(QLatin1String(name)); }
};

void TestFigures::initTestCase() {
    for (const char* tool : {"pdffonts", "pdfimages", "pdfinfo", "pdftoppm", "pdftotext"}) {
        QVERIFY2(!QStandardPaths::findExecutable(QLatin1String(tool)).isEmpty(), tool);
    }
}

void TestFigures::svgIsVectorAndLooksTheSame() {
    FigureSpec spec = sampleBlocks(8, 8);
    spec.title = QStringLiteral("A < B & \"C\"");
    exportFigure(spec, path(file("v.svg")));
    const QByteArray svg = content(file("v.svg"));
    QVERIFY(!svg.contains("<image"));
    QVERIFY(svg.count("<rect") >= 4 * 64);
    QVERIFY(svg.contains("<text"));
    QVERIFY(svg.contains("Arial, Helvetica, sans-serif"));
    QVERIFY(svg.contains(QByteArray("width=\"139.7mm\"")));
    // Qt's own SVG reader knows no lists of fonts; others take the first that is installed.
    QByteArray single = svg;
    single.replace(", Arial, Helvetica, sans-serif", "");
    QSvgRenderer renderer(single);
    QVERIFY(renderer.isValid());
    QImage image((spec.inches * 200).toSize(), QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    renderer.render(&painter);
    painter.end();
    const Colours colours(spec);
    QCOMPARE(colours.found(image), int(colours.expected.size()));
    // The same places as in the PNG, but for smoothed edges.
    const QImage png = renderFigure(spec, 200);
    QCOMPARE(png.size(), image.size());
    qint64 different = 0;
    for (int y = 0; y < png.height(); ++y) {
        for (int x = 0; x < png.width(); ++x) {
            const QColor a = png.pixelColor(x, y), b = image.pixelColor(x, y);
            different += std::abs(a.red() - b.red()) + std::abs(a.green() - b.green()) > 60 ? 1 : 0;
        }
    }
    QVERIFY2(double(different) < 0.04 * png.width() * png.height(),
             qPrintable(QString::number(double(different) / png.width() / png.height())));
}

void TestFigures::pngHasItsResolution() {
    FigureSpec spec = sampleBlocks(5, 5);
    spec.dpi = 450;
    exportFigure(spec, path(file("r.png")));
    const QImage image(file("r.png"));
    QCOMPARE(image.width(), qRound(spec.inches.width() * 450));
    QCOMPARE(qRound(image.dotsPerMeterX() * 0.0254), 450);
    QCOMPARE(image.pixelColor(0, 0), QColor(Qt::white));
    const Colours colours(spec);
    QCOMPARE(colours.found(image), int(colours.expected.size()));
}

void TestFigures::everyKindDraws() {
    std::vector<FigureSpec> all;
    for (const FigureKind kind : {FigureKind::bars, FigureKind::volcano, FigureKind::null}) {
        FigureSpec s;
        s.kind = kind;
        s.xLabel = QStringLiteral("Effect");
        s.yLabel = QStringLiteral("Count");
        s.bars = {{QStringLiteral("Q"), 0.4, 0.3, 0.5}, {QStringLiteral("O"), std::nan("")}};
        s.points = {{0.5, 2, QStringLiteral("L1 H2"), true}, {-0.1, 0.2, {}, false}};
        s.threshold = 1.3;
        s.nullValues = {0.9, 1, 1.05, 1.1, 1, 0.98};
        s.observed = 0.7;
        s.inches = {3.5, 0};
        fitHeight(s);
        all.push_back(s);
        // Nothing to show is no crash.
        FigureSpec none;
        none.kind = kind;
        none.inches = {3.5, 2.2};
        QVERIFY(!renderFigure(none, 100).isNull());
    }
    FigureSpec compare = sampleBlocks(6, 6);
    compare.kind = FigureKind::compare;
    compare.panels.push_back(compare.panels[0]);
    compare.panels.push_back(compare.panels[1]);
    compare.difference = {0, 0, 0, 1, 1, 1};
    const auto scales = compare.scales();
    QCOMPARE(scales[3].low, -scales[3].high);
    QVERIFY(scales[3].map.diverging() && !scales[0].map.diverging());
    all.push_back(compare);
    for (const FigureSpec& s : all) {
        const QString pdf = file("kind.pdf");
        exportFigure(s, path(pdf));
        QCOMPARE(output("pdfimages", {"-list", pdf}).split('\n').size(), 3);
        const QByteArray fonts = output("pdffonts", {pdf});
        QVERIFY(fonts.contains("TrueType") && !fonts.contains("Type 3"));
    }
}

void TestFigures::linesAndTextAreLargeEnough() {
    FigureSpec spec = sampleBlocks(6, 6);
    spec.fontPoints = 2; // asked for too little
    QVERIFY(figureStyle(spec, 0).font.pixelSize() >= int(6 * figureUnitsPerInch / 72));
    spec.panels[1].columnBrackets = {{0, 2, QStringLiteral("kv 0")}};
    spec.panels[2].values[3] = std::nan("");
    spec.panels[3].significant.assign(36, 1);
    spec.panels[3].outlines = {{{1, 1}, {1, 2}}};
    exportFigure(spec, path(file("lines.svg")));
    const QString svg = QString::fromUtf8(content(file("lines.svg")));
    // Every stroke that is drawn, in painter units; those of text and fills have none.
    static const QRegularExpression group(
        "<g fill=\"[^\"]*\"[^>]*stroke=\"#[0-9a-f]+\"[^>]*stroke-width=\"([0-9.]+)\"[^>]*>\\s*"
        "<(polyline|path|rect|line|polygon)");
    int strokes = 0;
    for (auto it = group.globalMatch(svg); it.hasNext();) {
        const double points = it.next().captured(1).toDouble() * 72 / figureUnitsPerInch;
        QVERIFY2(points >= 0.499, qPrintable(QString::number(points)));
        ++strokes;
    }
    QVERIFY(strokes > 10);
    static const QRegularExpression size("<text[^>]*font-size=\"([0-9.]+)\"");
    int texts = 0;
    for (auto it = size.globalMatch(svg); it.hasNext();) {
        const double points = it.next().captured(1).toDouble() * 72 / figureUnitsPerInch;
        QVERIFY(points >= 5.95 && points <= 10.05);
        ++texts;
    }
    QVERIFY(texts > 20);
}

void TestFigures::nothingIsLeftBehind() {
    const FigureSpec spec = sampleBlocks(3, 3);
    const QString missing = m_dir.filePath(QStringLiteral("no/such/folder/f.pdf"));
    QVERIFY_EXCEPTION_THROWN(exportFigure(spec, path(missing)), qkov::InputError);
    QDir dir(m_dir.filePath(QStringLiteral("empty")));
    QVERIFY(dir.mkpath(QStringLiteral(".")));
    QVERIFY_EXCEPTION_THROWN(exportFigure(spec, path(dir.filePath(QStringLiteral("f.gif")))),
                             qkov::UsageError);
    FigureSpec broken = spec;
    broken.panels[0].values.pop_back();
    QVERIFY_EXCEPTION_THROWN(exportFigure(broken, path(dir.filePath(QStringLiteral("f.pdf")))),
                             qkov::UsageError);
    QVERIFY(dir.isEmpty());
}

void TestFigures::formats() {
    QCOMPARE(figureFormat("a/b.PDF"), FigureFormat::pdf);
    QCOMPARE(figureFormat("b.svg"), FigureFormat::svg);
    QCOMPARE(figureFormat("b.x.png"), FigureFormat::png);
    QVERIFY_EXCEPTION_THROWN(figureFormat("b"), qkov::UsageError);
}

void TestFigures::sizes() {
    QCOMPARE(parseFigureSize(QStringLiteral("5.5in")), QSizeF(5.5, 0));
    QCOMPARE(parseFigureSize(QStringLiteral("140mm")).width(), 140 / 25.4);
    QCOMPARE(parseFigureSize(QStringLiteral("5.5x4in")), QSizeF(5.5, 4));
    QCOMPARE(parseFigureSize(QStringLiteral("7in x 3in")), QSizeF(7, 3));
    QCOMPARE(parseFigureSize(QStringLiteral("NeurIPS")), QSizeF(5.5, 0));
    QCOMPARE(parseFigureSize(QStringLiteral("icml-wide")), QSizeF(6.75, 0));
    QCOMPARE(parseFigureSize(QStringLiteral("acl")), QSizeF(3.03, 0));
    QCOMPARE(parseFigureSize(QStringLiteral("slide")).height(), 5.625);
    for (const char* wrong :
         {"", "in", "5.5xin", "0.1in", "1e9in", "-3in", "5 inches", "4in x 3mm"}) {
        QVERIFY_EXCEPTION_THROWN(parseFigureSize(QLatin1String(wrong)), qkov::UsageError);
    }
    // Fitted: square cells fill the width.
    FigureSpec spec = sampleBlocks(12, 12);
    QVERIFY(spec.inches.height() > 3 && spec.inches.height() < 7);
    const double points = spec.inches.height() * 72;
    QVERIFY(std::abs(points - std::round(points)) < 1e-6);
}

void TestFigures::screenAndPaperAgree() {
    // The same map through the widget's style and the page's: the same cells in the same order.
    FigureSpec spec;
    spec.kind = FigureKind::heatmap;
    spec.panels = {sampleMap(3, 5, QStringLiteral("Q"))};
    spec.layerZeroAtTop = false;
    spec.inches = {3, 2.5};
    const QImage page = renderFigure(spec, 150);
    const ColorScale scale = spec.scales()[0];
    // Walk up the first column of the map: layer 0 is at the bottom.
    std::vector<QRgb> wanted;
    for (int row = 0; row < 3; ++row) {
        wanted.push_back(scale.color(spec.panels[0].value(row, 0)));
    }
    int column = -1;
    for (int x = 0; x < page.width() && column < 0; ++x) {
        for (int y = 0; y < page.height(); ++y) {
            if (page.pixel(x, y) == wanted[0]) {
                column = x + 5;
                break;
            }
        }
    }
    QVERIFY(column > 0);
    std::vector<QRgb> seen;
    for (int y = page.height() - 1; y >= 0; --y) {
        const QRgb c = page.pixel(column, y);
        if (std::find(wanted.begin(), wanted.end(), c) != wanted.end() &&
            (seen.empty() || seen.back() != c)) {
            seen.push_back(c);
        }
    }
    QVERIFY(seen == wanted);
}

/// Titles and labels of the edge panels take room from all, not only from themselves.
void TestFigures::panelsHaveOneSize() {
    FigureSpec spec = sampleBlocks(6, 8);
    spec.range.kind = RangeOptions::Kind::given;
    spec.range.low = 0;
    spec.range.high = 1;
    for (std::size_t n = 0; n < spec.panels.size(); ++n) {
        HeatmapData& d = spec.panels[n];
        d.states.clear();
        d.marks.clear();
        d.values.assign(d.values.size(), 0.2 + 0.2 * double(n));
    }
    const QImage image = renderFigure(spec, 200);
    const auto scales = spec.scales();
    std::vector<int> areas;
    for (std::size_t n = 0; n < spec.panels.size(); ++n) {
        const QRgb colour = scales[n].color(0.2 + 0.2 * double(n));
        int area = 0;
        for (int y = 0; y < image.height(); ++y) {
            for (int x = 0; x < image.width(); ++x) {
                area += image.pixel(x, y) == colour ? 1 : 0;
            }
        }
        areas.push_back(area);
    }
    const auto [least, most] = std::minmax_element(areas.begin(), areas.end());
    QVERIFY2(*least > 10000 && *most < *least * 1.01,
             qPrintable(QStringLiteral("%1 to %2 pixels").arg(*least).arg(*most)));
}

void TestFigures::textsAreEditable() {
    FigureSpec spec = sampleBlocks(12, 12);
    spec.panels[0].values[3] = std::nan("");
    spec.range.kind = RangeOptions::Kind::given;
    spec.range.low = 0;
    spec.range.high = 2.5;
    const auto text = [&](const FigureSpec& s) {
        exportFigure(s, path(file("edit.pdf")));
        return QString::fromUtf8(output("pdftotext", {"-layout", file("edit.pdf"), "-"}));
    };
    const QString usual = text(spec);
    QVERIFY(usual.contains(QStringLiteral("0.5")));
    QVERIFY(usual.indexOf(QStringLiteral("missing")) > usual.indexOf(QStringLiteral("Head")));
    spec.decimalComma = true;
    spec.legendAbove = true;
    for (HeatmapData& d : spec.panels) {
        d.columnTitle = QStringLiteral("Kopf");
    }
    fitHeight(spec);
    const QString edited = text(spec);
    QVERIFY(edited.contains(QStringLiteral("0,5")) && !edited.contains(QStringLiteral("0.5")));
    QVERIFY(edited.contains(QStringLiteral("Kopf")) && !edited.contains(QStringLiteral("Head")));
    QVERIFY(edited.indexOf(QStringLiteral("missing")) < edited.indexOf(QStringLiteral("Kopf")));
    // Fewer ticks: fewer numbers on the page.
    spec.tickDensity = 0.3;
    static const QRegularExpression number("\\b[0-9]+(,[0-9]+)?\\b");
    QVERIFY(text(spec).count(number) < edited.count(number));
}

QTEST_MAIN(TestFigures)
#include "tst_figures.moc"
