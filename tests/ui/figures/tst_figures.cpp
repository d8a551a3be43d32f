// SPDX-License-Identifier: GPL-3.0-or-later
// What comes out of a printer: checked with poppler's tools.
#include "base/Error.h"
#include "figures/FigurePainter.h"
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

namespace {

QByteArray output(const QString& program, const QStringList& arguments) {
    QProcess process;
    process.start(program, arguments);
    if (!process.waitForFinished(30000) || process.exitCode() != 0) {
        qFatal("%s failed", qPrintable(program));
    }
    return process.readAllStandardOutput();
}

std::filesystem::path path(const QString& s) {
    return s.toStdString();
}

QByteArray content(const QString& file) {
    QFile f(file);
    return f.open(QIODevice::ReadOnly) ? f.readAll() : QByteArray();
}

/// The page as a PDF viewer shows it.
QImage pdfPage(const QString& pdf, int dpi) {
    const QString stem = pdf.chopped(4) + QStringLiteral("-page");
    output(QStringLiteral("pdftoppm"),
           {"-r", QString::number(dpi), "-png", "-singlefile", pdf, stem});
    return QImage(stem + QStringLiteral(".png"));
}

/// Share of cells whose colour in the middle is the scale's, within `tolerance` of each channel.
struct Colours {
    std::set<QRgb> expected;
    explicit Colours(const FigureSpec& spec) {
        const auto scales = spec.scales();
        for (std::size_t n = 0; n < spec.panels.size(); ++n) {
            for (const double v : spec.panels[n].values) {
                expected.insert(scales[n].color(v));
            }
        }
    }
    /// Pixels of exactly these colours.
    int found(const QImage& image) const {
        std::set<QRgb> seen;
        for (int y = 0; y < image.height(); ++y) {
            for (int x = 0; x < image.width(); ++x) {
                const QRgb c = image.pixel(x, y);
                if (expected.count(c) != 0) {
                    seen.insert(c);
                }
            }
        }
        return int(seen.size());
    }
};

} // namespace

class TestFigures : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void pdfHasFontsAndNoImages();
    void pdfHasExactSize_data();
    void pdfHasExactSize();
    void pdfShowsTheColoursWithoutGaps();
    void pdfIsTheSameTwice();
    void pdfTextIsText();
    void svgIsVectorAndLooksTheSame();
    void pngHasItsResolution();
    void hugeMapIsAnImageAndSaysSo();
    void hatchingStaysVector();
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

void TestFigures::pdfHasFontsAndNoImages() {
    FigureSpec spec = sampleBlocks(12, 12);
    spec.panels[1].marks.assign(144, QChar(0x25B8));
    spec.panels[0].values[5] = std::nan("");
    const ExportedFigure done = exportFigure(spec, path(file("a.pdf")));
    QCOMPARE(done.cells, 4 * 144);
    QVERIFY(!done.cellsAsImage);
    QCOMPARE(done.bytes, QFile(file("a.pdf")).size());
    const QList<QByteArray> fonts = output("pdffonts", {file("a.pdf")}).split('\n');
    QVERIFY(fonts.size() > 3);
    for (qsizetype n = 2; n + 1 < fonts.size(); ++n) {
        QVERIFY2(fonts[n].contains("TrueType") && !fonts[n].contains("Type 3"), fonts[n]);
        QVERIFY2(fonts[n].contains(" yes "), fonts[n]); // embedded
    }
    QCOMPARE(output("pdfimages", {"-list", file("a.pdf")}).split('\n').size(), 3); // its heading
}

void TestFigures::pdfHasExactSize_data() {
    QTest::addColumn<QSizeF>("inches");
    QTest::newRow("points") << QSizeF(5.5, 4);
    QTest::newRow("acl") << QSizeF(3.03, 2.87);
    QTest::newRow("mm") << QSizeF(140 / 25.4, 90 / 25.4);
    QTest::newRow("digits") << QSizeF(99.5 / 72, 99.5 / 72);
    QTest::newRow("slide") << QSizeF(10, 5.625);
}

void TestFigures::pdfHasExactSize() {
    QFETCH(QSizeF, inches);
    FigureSpec spec;
    spec.kind = FigureKind::heatmap;
    spec.panels = {sampleMap(3, 3, QStringLiteral("Q"))};
    spec.inches = inches;
    exportFigure(spec, path(file("size.pdf")));
    const QString info = QString::fromUtf8(output("pdfinfo", {file("size.pdf")}));
    static const QRegularExpression size("Page size:\\s+([0-9.]+) x ([0-9.]+) pts");
    const auto m = size.match(info);
    QVERIFY2(m.hasMatch(), qPrintable(info));
    QVERIFY(std::abs(m.captured(1).toDouble() - inches.width() * 72) < 0.01);
    QVERIFY(std::abs(m.captured(2).toDouble() - inches.height() * 72) < 0.01);
    // The whole drawing is on the page: nothing dark at its edges, something in it.
    const QImage page = pdfPage(file("size.pdf"), 72);
    int inked = 0;
    for (int x = 0; x < page.width(); ++x) {
        QVERIFY(qGray(page.pixel(x, page.height() - 1)) > 200);
        QVERIFY(qGray(page.pixel(x, 0)) > 200);
        inked += qGray(page.pixel(x, page.height() / 2)) < 200 ? 1 : 0;
    }
    QVERIFY(inked > page.width() / 4);
}

void TestFigures::pdfShowsTheColoursWithoutGaps() {
    FigureSpec spec;
    spec.kind = FigureKind::heatmap;
    HeatmapData d = sampleMap(17, 23, QStringLiteral("Q"));
    std::fill(d.values.begin(), d.values.end(), 1.0);
    spec.panels = {d};
    spec.colorMap = ColorMap::Id::viridis;
    spec.range.kind = RangeOptions::Kind::given;
    spec.range.low = 0;
    spec.range.high = 2;
    spec.inches = {3.3, 3};
    exportFigure(spec, path(file("even.pdf")));
    // One colour everywhere: any gap between cells would show as another one.
    for (const int dpi : {72, 97, 150, 211, 300}) {
        const QImage page = pdfPage(file("even.pdf"), dpi);
        const QRgb colour = spec.scales()[0].color(1.0);
        // The map's extent on this page: the rows and columns full of its colour.
        int left = page.width(), right = 0, top = page.height(), bottom = 0;
        for (int y = 0; y < page.height(); ++y) {
            for (int x = 0; x < page.width() * 3 / 4; ++x) {
                if (page.pixel(x, y) == colour) {
                    left = std::min(left, x);
                    right = std::max(right, x);
                    top = std::min(top, y);
                    bottom = std::max(bottom, y);
                }
            }
        }
        QVERIFY(right - left > page.width() / 3 && bottom - top > page.height() / 3);
        for (int y = top; y <= bottom; ++y) {
            for (int x = left; x <= right; ++x) {
                if (page.pixel(x, y) != colour) {
                    QFAIL(qPrintable(QStringLiteral("a gap at %1, %2 of the page at %3 dpi: %4")
                                         .arg(x)
                                         .arg(y)
                                         .arg(dpi)
                                         .arg(page.pixel(x, y), 0, 16)));
                }
            }
        }
    }
    FigureSpec blocks = sampleBlocks(8, 8);
    exportFigure(blocks, path(file("colours.pdf")));
    const Colours colours(blocks);
    QCOMPARE(colours.found(pdfPage(file("colours.pdf"), 200)), int(colours.expected.size()));
}

void TestFigures::pdfIsTheSameTwice() {
    const FigureSpec spec = sampleBlocks(6, 6);
    exportFigure(spec, path(file("one.pdf")));
    QTest::qWait(1100);                 // another second in the date
    QHashSeed::resetRandomGlobalSeed(); // as in another run of the program
    exportFigure(spec, path(file("two.pdf")));
    static const QRegularExpression date("/CreationDate \\(D:[0-9Z+'-]*\\)");
    QString one = QString::fromLatin1(content(file("one.pdf")));
    QString two = QString::fromLatin1(content(file("two.pdf")));
    QVERIFY(one.contains(date));
    QVERIFY(one.remove(date) == two.remove(date));
    for (const char* name : {"one.svg", "one.png"}) {
        exportFigure(spec, path(file(name)));
        const QByteArray first = content(file(name));
        exportFigure(spec, path(file(name)));
        QVERIFY(first == content(file(name)));
        QVERIFY(!first.isEmpty());
    }
}

void TestFigures::pdfTextIsText() {
    FigureSpec spec = sampleBlocks(6, 6);
    spec.title = QStringLiteral("Where arithmetic and code collide");
    exportFigure(spec, path(file("text.pdf")));
    const QString text = QString::fromUtf8(output("pdftotext", {"-raw", file("text.pdf"), "-"}));
    for (const QString& word : {spec.title, QStringLiteral("Layer"), QStringLiteral("Head")}) {
        QVERIFY2(text.contains(word), qPrintable(word));
    }
    const QString info = QString::fromUtf8(output("pdfinfo", {file("text.pdf")}));
    QVERIFY(info.contains(spec.title));
    QVERIFY(info.contains(spec.command)); // how it was made
    QVERIFY(info.contains(spec.source));
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

void TestFigures::hugeMapIsAnImageAndSaysSo() {
    FigureSpec spec;
    spec.kind = FigureKind::pairs;
    spec.panels = {sampleMap(210, 200, QStringLiteral("L0"))};
    spec.inches = {3.5, 3.4};
    QVERIFY(exportFigure(spec, path(file("huge.pdf"))).cellsAsImage);
    const QList<QByteArray> images = output("pdfimages", {"-list", file("huge.pdf")}).split('\n');
    QCOMPARE(images.size(), 4); // one image
    const QList<QByteArray> columns = images[2].simplified().split(' ');
    QVERIFY(columns.size() > 13);
    QVERIFY2(columns[12].toInt() >= 600 && columns[13].toInt() >= 600, images[2]);
    // No loss: every colour is there.
    const Colours colours(spec);
    QVERIFY(colours.found(pdfPage(file("huge.pdf"), 600)) >=
            int(colours.expected.size()) * 95 / 100);
    spec.panels = {sampleMap(200, 200, QStringLiteral("L0"))}; // 40,000 cells: vector
    QVERIFY(!exportFigure(spec, path(file("large.pdf"))).cellsAsImage);
    QCOMPARE(output("pdfimages", {"-list", file("large.pdf")}).split('\n').size(), 3);
}

void TestFigures::hatchingStaysVector() {
    FigureSpec spec;
    spec.kind = FigureKind::heatmap;
    HeatmapData d = sampleMap(4, 4, QStringLiteral("V"));
    d.values.assign(16, std::nan(""));
    spec.panels = {d};
    exportFigure(spec, path(file("hatch.pdf")));
    QCOMPARE(output("pdfimages", {"-list", file("hatch.pdf")}).split('\n').size(), 3);
    QVERIFY(!content(file("hatch.pdf")).contains("/PatternType 1"));
    const QImage page = pdfPage(file("hatch.pdf"), 300);
    std::set<int> greys;
    for (int x = page.width() / 4; x < page.width() / 2; ++x) {
        greys.insert(qGray(page.pixel(x, page.height() / 3)) / 24);
    }
    QVERIFY(greys.size() >= 2);
    exportFigure(spec, path(file("hatch.svg")));
    QVERIFY(!content(file("hatch.svg")).contains("<pattern"));
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
