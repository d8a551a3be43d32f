// SPDX-License-Identifier: GPL-3.0-or-later
// What a figure's file shows, through other programs' eyes (poppler's tools).
#pragma once

#include "figures/FigurePainter.h"

#include <QFile>
#include <QImage>
#include <QProcess>

#include <filesystem>
#include <set>

namespace qkov::ui::testing {

inline QByteArray output(const QString& program, const QStringList& arguments) {
    QProcess process;
    process.start(program, arguments);
    if (!process.waitForFinished(30000) || process.exitCode() != 0) {
        qFatal("%s failed", qPrintable(program));
    }
    return process.readAllStandardOutput();
}

inline std::filesystem::path path(const QString& s) {
    return s.toStdString();
}

inline QByteArray content(const QString& file) {
    QFile f(file);
    return f.open(QIODevice::ReadOnly) ? f.readAll() : QByteArray();
}

/// The page as a PDF viewer shows it.
inline QImage pdfPage(const QString& pdf, int dpi) {
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

} // namespace qkov::ui::testing
