// SPDX-License-Identifier: GPL-3.0-or-later
// A figure for a paper, as a value.
#pragma once

#include "plots/ColorMap.h"
#include "plots/HeatmapData.h"

#include <QSizeF>
#include <QString>

#include <optional>
#include <vector>

namespace qkov::ui {

enum class FigureKind : std::uint8_t {
    heatmap, ///< one panel
    blocks,  ///< Q, K, V, O
};

struct FigureSpec {
    FigureKind kind = FigureKind::blocks;
    std::vector<HeatmapData> panels;
    QSizeF inches{5.5, 4.6}; ///< exact size of the page
    double fontPoints = 8;   ///< 6–10, as printed
    QString fontFamily;      ///< empty: a sans serif TrueType font
    ColorMap colorMap;
    RangeOptions range;
    bool sharedRange = true; ///< one colour bar; else one per panel
    bool panelLetters = true;
    bool layerZeroAtTop = true;
    QString title;      ///< above the panels; empty: none
    QString valueLabel; ///< beside the colour bar
    int dpi = 300;      ///< PNG
    QString command;    ///< goes into the file's metadata
    QString source;     ///< what the numbers are from: dump, fingerprint
    QString caption;    ///< draft, plain text

    /// The scale of each panel (all the same when shared).
    std::vector<ColorScale> scales() const;
};

struct FigureOptions {
    std::optional<QSizeF> inches; ///< unset: 5.5 in wide (heatmap 3.5 in), height to fit
    double fontPoints = 8;
    std::optional<ColorMap> colorMap; ///< unset: viridis, or vik for signed scores
    RangeOptions range;
    bool sharedRange = true;
    bool layerZeroAtTop = true;
    QString title;
    QString command;
    int dpi = 300;
};

/// The asked-for blocks of `scores`, up to four panels.
FigureSpec blocksFigure(const engine::Scores& scores, const FigureOptions& options = {});
FigureSpec heatmapFigure(const engine::Scores& scores, Block block,
                         const FigureOptions& options = {});
/// "5.5in", "140mm", "5.5x4in", "neurips", "iclr", "icml", "icml-wide", "acl", "acl-wide",
/// "single", "slide". Height 0: to fit. @throws qkov::UsageError
QSizeF parseFigureSize(const QString& text);

} // namespace qkov::ui
