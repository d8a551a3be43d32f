// SPDX-License-Identifier: GPL-3.0-or-later
// PDFs as a printer gets them: fonts, sizes, colours, text, vectors.
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

class TestFigurePdf : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void pdfHasFontsAndNoImages();
    void pdfHasExactSize_data();
    void pdfHasExactSize();
    void pdfShowsTheColoursWithoutGaps();
    void pdfIsTheSameTwice();
    void pdfTextIsText();
    void hugeMapIsAnImageAndSaysSo();
    void hatchingStaysVector();

  private:
    QTemporaryDir m_dir;
    QString file(const char* name) const { return m_dir.filePath(QLatin1String(name)); }
};

void TestFigurePdf::initTestCase() {
    for (const char* tool : {"pdffonts", "pdfimages", "pdfinfo", "pdftoppm", "pdftotext"}) {
        QVERIFY2(!QStandardPaths::findExecutable(QLatin1String(tool)).isEmpty(), tool);
    }
}

void TestFigurePdf::pdfHasFontsAndNoImages() {
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

void TestFigurePdf::pdfHasExactSize_data() {
    QTest::addColumn<QSizeF>("inches");
    QTest::newRow("points") << QSizeF(5.5, 4);
    QTest::newRow("acl") << QSizeF(3.03, 2.87);
    QTest::newRow("mm") << QSizeF(140 / 25.4, 90 / 25.4);
    QTest::newRow("digits") << QSizeF(99.5 / 72, 99.5 / 72);
    QTest::newRow("slide") << QSizeF(10, 5.625);
}

void TestFigurePdf::pdfHasExactSize() {
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

void TestFigurePdf::pdfShowsTheColoursWithoutGaps() {
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

void TestFigurePdf::pdfIsTheSameTwice() {
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

void TestFigurePdf::pdfTextIsText() {
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

void TestFigurePdf::hugeMapIsAnImageAndSaysSo() {
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

void TestFigurePdf::hatchingStaysVector() {
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

QTEST_MAIN(TestFigurePdf)
#include "tst_figurepdf.moc"
