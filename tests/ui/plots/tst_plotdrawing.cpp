// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/ColorBar.h"
#include "plots/HeadOrder.h"
#include "plots/HeatmapPainter.h"
#include "plots/Icons.h"
#include "ui/plots/SampleMaps.h"

#include <QPainter>
#include <QTest>

#include <cmath>
#include <random>

using namespace qkov::ui;

class TestPlotDrawing : public QObject {
    Q_OBJECT

  private slots:
    void ticksAreRoundAndInside();
    void ticksText();
    void niceSteps();
    void missingCellsAreHatched();
    void notComputedCellsDiffer();
    void marksVanishInSmallCells();
    void hugeMapKeepsItsHotCell();
    void colorBarRunsUpwards();
    void iconsAreAllThere();
    void paletteContrast();
    void consistency();
    void symlogScale();
    void logOfSignedValues();
    void longLabelBesideTheBar();
    void margins();
    void headOrder();
};

void TestPlotDrawing::ticksAreRoundAndInside() {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> exponent(-12, 8), part(0, 1);
    for (int n = 0; n < 500; ++n) {
        const double size = std::pow(10.0, exponent(random));
        const double low = (part(random) - 0.5) * size;
        const double high = low + part(random) * size + size * 1e-3;
        const AxisTicks t = axisTicks(low, high, 5);
        QVERIFY2(t.values.size() >= 2 && t.values.size() <= 11,
                 qPrintable(QString::number(t.values.size())));
        for (std::size_t k = 0; k < t.values.size(); ++k) {
            const double slack = (high - low) * 1e-5;
            QVERIFY(t.values[k] >= low - slack && t.values[k] <= high + slack);
            // The text says the value.
            QString text = t.texts[static_cast<qsizetype>(k)];
            text.replace(QChar(0x2212), u'-');
            const double said = text.toDouble() * std::pow(10.0, t.exponent);
            QVERIFY(std::abs(said - t.values[k]) <= 1e-3 * (high - low));
        }
    }
}

void TestPlotDrawing::ticksText() {
    QCOMPARE(axisTicks(0, 1, 5).texts, (QStringList{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
    const AxisTicks tiny = axisTicks(0, 4e-7, 4);
    QCOMPARE(tiny.exponent, -7);
    QCOMPARE(tiny.texts, (QStringList{"0", "1", "2", "3", "4"}));
    QCOMPARE(powerOfTen(-7), QStringLiteral("×10⁻⁷"));
    QCOMPARE(axisTicks(-1, 1, 4).texts.front(), QStringLiteral("−1.0"));
    const AxisTicks log = axisTicks(1e-9, 1e-3, 6, true);
    QVERIFY(log.texts.contains(QStringLiteral("10⁻⁸")));
    QCOMPARE(axisTicks(1, 100, 6, true).texts,
             (QStringList{"1", "2", "5", "10", "20", "50", "100"}));
    QVERIFY(axisTicks(1, 1, 5).values.empty());
    QVERIFY(axisTicks(std::nan(""), 1, 5).values.empty());
}

void TestPlotDrawing::niceSteps() {
    QCOMPARE(niceStep(0.3), 1);
    QCOMPARE(niceStep(1.2), 2);
    QCOMPARE(niceStep(3), 5);
    QCOMPARE(niceStep(11), 20);
    QCOMPARE(niceStep(5000), 5000);
}

namespace {

QImage painted(const HeatmapData& data, QSize size, HeatmapLayout* layout = nullptr) {
    QImage image(size, QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    PlotStyle style;
    style.font.setPixelSize(11);
    style.titleFont.setPixelSize(13);
    const HeatmapOptions options;
    const HeatmapLayout l = layoutHeatmap(data, QRectF(image.rect()), style, options);
    paintHeatmap(painter, data, testing::fitted(data), l, style, options);
    if (layout != nullptr) {
        *layout = l;
    }
    return image;
}

int differentColours(const QImage& image, const QRectF& r) {
    QSet<QRgb> colours;
    for (int y = int(r.top()); y < int(r.bottom()); ++y) {
        for (int x = int(r.left()); x < int(r.right()); ++x) {
            colours << image.pixel(x, y);
        }
    }
    return int(colours.size());
}

} // namespace

void TestPlotDrawing::missingCellsAreHatched() {
    HeatmapData d = testing::sampleMap(6, 6, QStringLiteral("V"));
    d.values[d.index(2, 3)] = std::nan("");
    HeatmapLayout l;
    const QImage image = painted(d, {300, 300}, &l);
    QVERIFY(differentColours(image, l.cellRect(2, 3)) >= 2);
    QCOMPARE(differentColours(image, l.cellRect(2, 2)), 1);
    QCOMPARE(differentColours(image, l.cellRect(1, 3)), 1); // hatching stays inside
}

void TestPlotDrawing::notComputedCellsDiffer() {
    HeatmapData d = testing::sampleMap(2, 2, QStringLiteral("V"));
    d.states.assign(4, HeatmapData::State::ok);
    d.states[0] = HeatmapData::State::missing;
    d.states[1] = HeatmapData::State::notComputed;
    HeatmapLayout l;
    const QImage image = painted(d, {200, 200}, &l);
    QVERIFY(image.copy(l.cellRect(0, 0).toRect()) != image.copy(l.cellRect(0, 1).toRect()));
}

void TestPlotDrawing::marksVanishInSmallCells() {
    HeatmapData with = testing::sampleMap(8, 8, QStringLiteral("Q"));
    const HeatmapData without = with;
    with.marks.assign(64, u'#');
    QVERIFY(painted(with, {400, 400}) != painted(without, {400, 400}));
    QCOMPARE(painted(with, {120, 120}), painted(without, {120, 120})); // cells under 14 px
}

void TestPlotDrawing::hugeMapKeepsItsHotCell() {
    HeatmapData d;
    d.rows = d.columns = 1500;
    d.values.assign(1500u * 1500u, 0.0);
    d.values[d.index(777, 333)] = 1;
    HeatmapLayout l;
    const QImage image = painted(d, {400, 400}, &l);
    const QRgb hot = ColorMap(ColorMap::Id::viridis).at(1);
    int found = 0;
    for (int y = 0; y < 400; ++y) {
        for (int x = 0; x < 400; ++x) {
            found += image.pixel(x, y) == hot ? 1 : 0;
        }
    }
    QVERIFY2(found >= 1 && found <= 4, qPrintable(QString::number(found)));
}

void TestPlotDrawing::colorBarRunsUpwards() {
    ColorBar bar;
    const HeatmapData d = testing::sampleMap(4, 4, QStringLiteral("Q"));
    bar.setScale(testing::fitted(d));
    bar.setLabel(QStringLiteral("Mean"));
    bar.resize(bar.sizeHint().width(), 300);
    const QImage image = bar.grab().toImage();
    const int x = 12;
    int firstBright = -1, firstDark = -1;
    const QRgb top = ColorMap(ColorMap::Id::viridis).at(1),
               low = ColorMap(ColorMap::Id::viridis).at(0);
    for (int y = 0; y < image.height(); ++y) {
        if (image.pixel(x, y) == top && firstBright < 0) {
            firstBright = y;
        }
        if (image.pixel(x, y) == low && firstDark < 0) {
            firstDark = y;
        }
    }
    QVERIFY(firstBright >= 0 && firstDark > firstBright + 200);
    const QImage without = image;
    bar.setPointer(1.0);
    QVERIFY(bar.grab().toImage() != without);
    QVERIFY(!bar.accessibleDescription().isEmpty());
}

void TestPlotDrawing::iconsAreAllThere() {
    const QString documented = QStringLiteral(
        "open swap play cancel export folder file search copy sun moon model layers "
        "task fisher warning error info check chevron pin settings pair table recent "
        "close");
    for (const QString& name : documented.split(u' ')) {
        const QIcon i = icon(name, Palette::light());
        QVERIFY2(!i.isNull(), qPrintable(name));
        const QImage image = i.pixmap(32, 32).toImage();
        int inked = 0;
        for (int y = 0; y < image.height(); ++y) {
            for (int x = 0; x < image.width(); ++x) {
                inked += image.pixelColor(x, y).alpha() > 128 ? 1 : 0;
            }
        }
        QVERIFY2(inked > 30, qPrintable(name));
    }
    QVERIFY(icon(QStringLiteral("no such icon"), Palette::light()).isNull());
}

void TestPlotDrawing::paletteContrast() {
    for (const Palette* p : {&Palette::light(), &Palette::night(), &Palette::paper()}) {
        // Every text colour on every ground that text stands on: pages, cards, hovered and selected
        // rows.
        for (const QColor& background : {p->window, p->card, p->raised, p->selection}) {
            QVERIFY(contrastRatio(p->text, background) >= 7);
            for (const QColor& c : {p->mutedText, p->accent, p->warning, p->error, p->good}) {
                QVERIFY2(contrastRatio(c, background) >= 4.5,
                         qPrintable(c.name() + " on " + background.name()));
            }
        }
        QVERIFY(contrastRatio(p->accentText, p->accent) >= 4.5);
        QVERIFY(contrastRatio(p->accentText, p->accentHover()) >= 4.5);
        // Edges of controls and the focus ring: 3 to 1.
        QVERIFY(contrastRatio(p->outline, p->card) >= 3 &&
                contrastRatio(p->outline, p->window) >= 3);
        QVERIFY(contrastRatio(p->accent, p->card) >= 3);
    }
    for (int n = 0; n < 256; ++n) {
        const QRgb c = ColorMap(ColorMap::Id::viridis).at(n / 255.0);
        QVERIFY(contrastRatio(inkOn(c), QColor::fromRgb(c)) >= 4.5);
    }
}

void TestPlotDrawing::consistency() {
    HeatmapData d = testing::sampleMap(3, 4, {});
    QVERIFY(d.consistent());
    QCOMPARE(d.rowLabel(2), QStringLiteral("2"));
    d.columnBrackets = {{2, 4, {}}};
    QVERIFY(!d.consistent());
    d.columnBrackets = {{2, 3, {}}};
    QVERIFY(d.consistent());
    d.marks.resize(11);
    QVERIFY(!d.consistent());
    d.marks.clear();
    d.rowLabels = QStringList{"a"};
    QVERIFY(!d.consistent());
}

void TestPlotDrawing::symlogScale() {
    const std::vector<double> values{-100, -1, 0, 0.01, 1, 100};
    RangeOptions options;
    options.symlog = true;
    options.centred = true;
    const ColorScale s = ColorScale::fit(ColorMap::Id::vik, {values}, options);
    QCOMPARE(s.low, -100.0);
    QCOMPARE(s.high, 100.0);
    QCOMPARE(s.position(0), 0.5);
    QCOMPARE(s.position(100), 1.0);
    double before = -1;
    for (const double v : values) {
        const double p = s.position(v);
        QVERIFY(p > before);
        before = p;
        QVERIFY(std::abs(s.valueAt(p) - v) <= 1e-9 * std::max(1.0, std::abs(v)));
    }
    // 1 of 100 is well off the middle, where a linear scale would have it at 0.505.
    QVERIFY(s.position(1) > 0.6);
    QVERIFY(std::isnan(s.position(std::nan(""))));
    const AxisTicks t = symlogTicks(-100, 100, s.linear, 7);
    QVERIFY(t.values.size() >= 5);
    QVERIFY(std::is_sorted(t.values.begin(), t.values.end()));
    QVERIFY(t.texts.contains(QStringLiteral("0")) && t.texts.contains(QStringLiteral("−100")));
    QVERIFY(symlogTicks(0, 5, 0.005, 5).values.size() >= 3);
}

/// Asked for a logarithm, values of both signs keep their order and 0 its place.
void TestPlotDrawing::logOfSignedValues() {
    const std::vector<double> values{-100, -1, 0, 1, 10};
    RangeOptions options;
    options.log = true;
    options.centred = true;
    const ColorScale s = ColorScale::fit(ColorMap::Id::vik, {values}, options);
    QVERIFY(!s.log);
    QCOMPARE(s.position(0), 0.5);
    for (std::size_t n = 1; n < values.size(); ++n) {
        QVERIFY(s.position(values[n]) > s.position(values[n - 1]));
    }
    const ColorScale positive = ColorScale::fit(ColorMap::Id::viridis, {{{1.0, 10.0}}}, options);
    QVERIFY(positive.log);
}

void TestPlotDrawing::longLabelBesideTheBar() {
    PlotStyle style;
    style.font.setPixelSize(10);
    const QFontMetricsF metrics(style.font);
    const QString label = QStringLiteral("Mean interference (behavioral, magnitude)");
    const double width = metrics.horizontalAdvance(label);
    QCOMPARE(colorBarLabelLines(label, width + 1, style, 3), 1);
    QCOMPARE(colorBarLabelLines(label, 0.7 * width, style, 3), 2);
    QCOMPARE(colorBarLabelLines(label, 0.05 * width, style, 3), 4); // no word fits
    const ColorScale scale = ColorScale::fit(ColorMap::Id::viridis, {{{0.0, 10.0}}}, {});
    QCOMPARE(colorBarWidth(scale, label, style, 2) - colorBarWidth(scale, label, style),
             metrics.height());
    const double wide = colorBarWidth(scale, label, style, 2);
    const ColorBarLayout l =
        layoutColorBar(scale, label, QRectF(0, 0, wide, 0.7 * width + 20), style);
    QVERIFY(l.label.width() >= 2 * metrics.height());
    QVERIFY(l.label.right() <= wide + 1e-6);
}

void TestPlotDrawing::margins() {
    HeatmapData d = testing::sampleMap(3, 4, QStringLiteral("Q"));
    for (int n = 0; n < 12; ++n) {
        d.values[std::size_t(n)] = n;
    }
    d.values[5] = std::nan("");
    d.addMargins();
    QCOMPARE(d.rowMeans, (std::vector<double>{1.5, 17.0 / 3, 9.5}));
    QCOMPARE(d.columnMeans, (std::vector<double>{4, 5, 6, 7}));
    QVERIFY(d.consistent());
    HeatmapLayout l;
    const QImage image = painted(d, {300, 260}, &l);
    // The last row's bar is the longest; each lies beside its row.
    const auto length = [&](int row) {
        int n = 0;
        for (int x = int(l.rowBars.left()); x < int(l.rowBars.right()); ++x) {
            n += image.pixel(x, int(l.cellRect(row, 0).center().y())) != 0xffffffff ? 1 : 0;
        }
        return n;
    };
    QVERIFY(length(0) > 0 && length(0) < length(1) && length(1) < length(2));
    QVERIFY(l.columnBars.bottom() <= l.plot.top() && l.rowBars.left() >= l.plot.right());
    d.rowMeans.pop_back();
    QVERIFY(!d.consistent());
}

void TestPlotDrawing::headOrder() {
    HeatmapData d = testing::sampleMap(2, 4, QStringLiteral("Q"));
    d.values = {3, 1, std::nan(""), 2, 0, 5, 5, 7};
    d.marks = {u'=', QChar(), u'=', u'#', QChar(), QChar(), QChar(), u'#'};
    const HeadOrder byValue(d, HeadSort::value);
    const HeatmapData v = byValue.apply(d);
    QCOMPARE(std::vector<double>(v.values.begin(), v.values.begin() + 3),
             (std::vector<double>{3, 2, 1}));
    QVERIFY(std::isnan(v.values[3])); // missing comes last
    QCOMPARE(std::vector<double>(v.values.begin() + 4, v.values.end()),
             (std::vector<double>{7, 5, 5, 0}));
    QVERIFY(byValue.original({1, 1}) == (CellPosition{1, 1})); // ties by number
    QVERIFY(byValue.original({1, 2}) == (CellPosition{1, 2}));
    for (int r = 0; r < 2; ++r) {
        for (int c = 0; c < 4; ++c) {
            QVERIFY(byValue.shown(byValue.original({r, c})) == (CellPosition{r, c}));
            const CellPosition from = byValue.original({r, c});
            QVERIFY(v.marks[v.index(r, c)] == d.marks[d.index(from.row, from.column)]);
        }
    }
    const HeatmapData t = HeadOrder(d, HeadSort::type).apply(d);
    QCOMPARE(t.marks[0], QChar(u'#'));
    QCOMPARE(t.marks[1], QChar(u'='));
    QCOMPARE(t.values[1], 3.0);
    QVERIFY(t.marks[3].isNull());
    const HeadOrder none(d, HeadSort::number);
    QVERIFY(none.natural());
    QVERIFY(none.original({1, 3}) == (CellPosition{1, 3}));
    QCOMPARE(HeadOrder(d, HeadSort::value, true).apply(d).values[4], 0.0);
}

QTEST_MAIN(TestPlotDrawing)
#include "tst_plotdrawing.moc"
