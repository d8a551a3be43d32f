// SPDX-License-Identifier: GPL-3.0-or-later
#include "figures/FigureExport.h"

#include "base/AtomicFile.h"
#include "base/Error.h"
#include "figures/FigurePainter.h"

#include <QBuffer>
#include <QHash>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

constexpr double marginToWholePoint = 1e-6;

QByteArray pointsText(double points, qsizetype width) {
    return QByteArray::number(points, 'f', 6).leftJustified(width, ' ', true);
}

/// Qt rounds pages to whole points. The exact size is written over its own, in the same number of
/// bytes, so that the file's table of offsets stays right.
void setExactPage(QByteArray& pdf, const QSizeF& points) {
    const QByteArray key("/MediaBox [0 0 ");
    const qsizetype at = pdf.indexOf(key);
    if (at < 0) {
        throw InputError("the PDF has no page size");
    }
    const qsizetype first = at + key.size();
    const qsizetype space = pdf.indexOf(' ', first);
    const qsizetype end = pdf.indexOf(']', first);
    if (space < 0 || end < space) {
        throw InputError("the PDF has no page size");
    }
    pdf.replace(first, space - first, pointsText(points.width(), space - first));
    pdf.replace(space + 1, end - space - 1, pointsText(points.height(), end - space - 1));
}

QString provenance(const FigureSpec& spec) {
    QStringList parts{QStringLiteral("QKOV Studio " QKOV_VERSION)};
    for (const QString& part : {spec.source, spec.command}) {
        if (!part.isEmpty()) {
            parts << part;
        }
    }
    return parts.join(QStringLiteral(" · "));
}

QString documentTitle(const FigureSpec& spec) {
    return spec.title.isEmpty() ? spec.valueLabel : spec.title;
}

/// Qt's PDF writer goes through hashes when it numbers its fonts: with a seed of its own for every
/// run of the program, the same figure would come out in another order.
class SameHashes {
  public:
    SameHashes() { QHashSeed::setDeterministicGlobalSeed(); }
    ~SameHashes() { QHashSeed::resetRandomGlobalSeed(); }
    SameHashes(const SameHashes&) = delete;
    SameHashes& operator=(const SameHashes&) = delete;
};

QByteArray pdf(const FigureSpec& spec) {
    const SameHashes sameHashes;
    QByteArray bytes;
    const QSizeF points = spec.inches * 72;
    const QSizeF page(std::ceil(points.width() - marginToWholePoint),
                      std::ceil(points.height() - marginToWholePoint));
    {
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::WriteOnly);
        QPdfWriter writer(&buffer);
        writer.setResolution(static_cast<int>(figureUnitsPerInch));
        writer.setPageSize(
            QPageSize(page, QPageSize::Point, QStringLiteral("figure"), QPageSize::ExactMatch));
        writer.setPageMargins(QMarginsF(0, 0, 0, 0));
        writer.setTitle(documentTitle(spec));
        writer.setCreator(provenance(spec));
        QPainter painter;
        if (!painter.begin(&writer)) {
            throw InputError("the PDF could not be drawn");
        }
        // The origin of a PDF is below: the page begins lower by what the rounding added.
        painter.translate(0, (page.height() - points.height()) * figureUnitsPerInch / 72);
        paintFigure(painter, spec, 0);
        painter.end();
    }
    setExactPage(bytes, points);
    return bytes;
}

QByteArray svg(const FigureSpec& spec) {
    QByteArray bytes;
    {
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::WriteOnly);
        QSvgGenerator generator;
        generator.setOutputDevice(&buffer);
        generator.setResolution(static_cast<int>(figureUnitsPerInch));
        const QSize size = (spec.inches * figureUnitsPerInch).toSize();
        generator.setSize(size);
        generator.setViewBox(QRect(QPoint(), size));
        generator.setTitle(documentTitle(spec).toHtmlEscaped());
        generator.setDescription(provenance(spec).toHtmlEscaped());
        QPainter painter;
        if (!painter.begin(&generator)) {
            throw InputError("the SVG could not be drawn");
        }
        paintFigure(painter, spec, 0);
        painter.end();
    }
    // Where the font is not installed, one of the same widths is.
    const QByteArray family = figureStyle(spec, 0).font.family().toUtf8();
    const bool serif = family.contains("Serif") || family.contains("Times");
    bytes.replace(
        "font-family=\"" + family + "\"",
        "font-family=\"" + family +
            (serif ? ", Times New Roman, Times, serif\"" : ", Arial, Helvetica, sans-serif\""));
    return bytes;
}

QByteArray png(const FigureSpec& spec) {
    QByteArray bytes;
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::WriteOnly);
    QImage image = renderFigure(spec, spec.dpi);
    image.setText(QStringLiteral("Title"), documentTitle(spec));
    image.setText(QStringLiteral("Software"), provenance(spec));
    if (!image.save(&buffer, "PNG")) {
        throw InputError("the image could not be made");
    }
    return bytes;
}

void check(const FigureSpec& spec) {
    const QSizeF s = spec.inches;
    if (!(s.width() >= 0.5 && s.width() <= 100 && s.height() >= 0.5 && s.height() <= 100)) {
        throw UsageError("a figure is 0.5 to 100 inches wide and high");
    }
    if (!std::all_of(spec.panels.begin(), spec.panels.end(),
                     [](const HeatmapData& d) { return d.consistent() && !d.values.empty(); })) {
        throw UsageError("a panel of the figure has no cells");
    }
    if (spec.dpi < 30 || spec.dpi > 2400 || s.width() * spec.dpi > 30000 ||
        s.height() * spec.dpi > 30000) {
        throw UsageError("an image has 30 to 2400 dots per inch and at most 30000 dots a side");
    }
}

} // namespace

FigureFormat figureFormat(const std::filesystem::path& file) {
    std::string end = file.extension().string();
    std::transform(end.begin(), end.end(), end.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    if (end == ".pdf") {
        return FigureFormat::pdf;
    }
    if (end == ".svg") {
        return FigureFormat::svg;
    }
    if (end == ".png") {
        return FigureFormat::png;
    }
    throw UsageError("'" + file.filename().string() +
                     "': a figure's name ends in .pdf, .svg or .png");
}

QImage renderFigure(const FigureSpec& spec, double dpi) {
    check(spec);
    const QSize size = (spec.inches * dpi).toSize().expandedTo({1, 1});
    QImage image(size, QImage::Format_RGB32);
    image.setDotsPerMeterX(qRound(dpi / 0.0254));
    image.setDotsPerMeterY(qRound(dpi / 0.0254));
    image.fill(Qt::white);
    QPainter painter(&image);
    painter.scale(dpi / figureUnitsPerInch, dpi / figureUnitsPerInch);
    paintFigure(painter, spec, figureUnitsPerInch / dpi);
    return image;
}

ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file,
                            FigureFormat format) {
    check(spec);
    QByteArray bytes;
    switch (format) {
    case FigureFormat::pdf:
        bytes = pdf(spec);
        break;
    case FigureFormat::svg:
        bytes = svg(spec);
        break;
    case FigureFormat::png:
        bytes = png(spec);
        break;
    }
    writeTextFile(file, {bytes.constData(), static_cast<std::size_t>(bytes.size())});
    ExportedFigure done{file, format, spec.inches, spec.cells(), bytes.size()};
    for (const HeatmapData& d : spec.panels) {
        done.cellsAsImage =
            done.cellsAsImage || (format != FigureFormat::png &&
                                  static_cast<std::int64_t>(d.values.size()) > maxVectorCells);
    }
    return done;
}

ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file) {
    return exportFigure(spec, file, figureFormat(file));
}

} // namespace qkov::ui
