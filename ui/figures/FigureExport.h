// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "figures/FigureSpec.h"

#include <QImage>

#include <filesystem>

class QPainter;

namespace qkov::ui {

enum class FigureFormat : std::uint8_t { pdf, svg, png };
/// From the name's ending. @throws qkov::UsageError naming the endings that work
FigureFormat figureFormat(const std::filesystem::path& file);

struct ExportedFigure {
    std::filesystem::path file;
    FigureFormat format{};
    QSizeF inches;
    std::int64_t cells = 0;
    std::int64_t bytes = 0;
    bool cellsAsImage = false; ///< a map of more than maxVectorCells, as an image of ≥ 600 dpi
};

/// Renders with the drawing code of the screen, without its decorations, on white; writes
/// atomically. Needs a QApplication (offscreen will do); call it on the thread that owns it.
/// The same spec gives the same bytes apart from the date inside a PDF.
/// @throws qkov::InputError one line, if the file can't be written; nothing is left behind
ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file,
                            FigureFormat format);
ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file);

/// For previews: the page at `dpi`.
QImage renderFigure(const FigureSpec& spec, double dpi);

/// Exactly the numbers shown, as CSV: maps as panel,row,column,value (NaN: missing), full
/// precision. @throws qkov::InputError
void exportFigureCsv(const FigureSpec& spec, const std::filesystem::path& file);
QByteArray figureCsv(const FigureSpec& spec);

/// Everything of `spec`, so that reading it gives the same figure. Numbers keep all digits.
QByteArray figureJson(const FigureSpec& spec);
void saveFigure(const FigureSpec& spec, const std::filesystem::path& file);
/// @throws qkov::InputError naming the key that is missing or wrong
FigureSpec loadFigure(const std::filesystem::path& file);
FigureSpec figureFromJson(const QByteArray& json, const std::filesystem::path& file = {});

} // namespace qkov::ui
