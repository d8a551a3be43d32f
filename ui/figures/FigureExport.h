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
};

/// Renders with the drawing code of the screen, without its decorations, on white; writes
/// atomically. Needs a QApplication (offscreen will do); call it on the thread that owns it.
/// @throws qkov::InputError one line, if the file can't be written; nothing is left behind
ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file,
                            FigureFormat format);
ExportedFigure exportFigure(const FigureSpec& spec, const std::filesystem::path& file);

/// For previews: the page at `dpi`.
QImage renderFigure(const FigureSpec& spec, double dpi);

} // namespace qkov::ui
