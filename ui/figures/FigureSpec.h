// SPDX-License-Identifier: GPL-3.0-or-later
// A figure for a paper, as a value.
#pragma once

#include "plots/ColorMap.h"
#include "plots/HeatmapData.h"

#include <QSizeF>
#include <QString>

#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace qkov::ui {

enum class FigureKind : std::uint8_t {
    heatmap, ///< one panel
    blocks,  ///< Q, K, V, O
    bars,    ///< block means with intervals
    compare, ///< the three modes of one block, and their differences
    pairs,   ///< sample × sample of one cell
    pair,    ///< one pair of samples over the maps
    volcano, ///< effect × −log10 q
    null,    ///< histogram of the null with the observed value
};
/// "heatmap", … as on the command line.
QString name(FigureKind kind);
/// @throws qkov::UsageError listing the kinds
FigureKind parseFigureKind(const QString& text);

struct FigureBar {
    QString label;
    double value = 0;
    double low = std::numeric_limits<double>::quiet_NaN(); ///< interval; NaN: none is drawn
    double high = std::numeric_limits<double>::quiet_NaN();
};

struct FigurePoint {
    double x = 0, y = 0;
    QString label;       ///< written beside marked points where there is room
    bool marked = false; ///< filled, else an open ring
};

struct FigureSpec {
    FigureKind kind = FigureKind::blocks;
    std::vector<HeatmapData> panels; ///< empty for bars, volcano, null
    /// Per panel, or empty: 1 for a difference, drawn with `differenceMap` on a scale of its own.
    std::vector<std::uint8_t> difference;
    int gridColumns = 0;     ///< panels side by side; 0: as fits best
    QSizeF inches{5.5, 4.6}; ///< exact size of the page
    double fontPoints = 8;   ///< 6–10, as printed
    QString fontFamily;      ///< empty: a sans serif TrueType font
    ColorMap colorMap;
    ColorMap differenceMap = ColorMap::Id::vik;
    RangeOptions range;
    bool sharedRange = true; ///< one colour bar; else one per panel
    bool panelLetters = true;
    bool layerZeroAtTop = true;
    bool annotate = false; ///< numbers in the cells, where they fit
    int annotationDigits = 2;
    bool marks = true;        ///< head-type glyphs
    bool legend = true;       ///< what glyphs, dots, hatching mean
    bool legendAbove = false; ///< above the panels, else below them
    double tickDensity = 1;   ///< fewer (down to 0.05) or more ticks than usual
    bool decimalComma = false;
    QString title;      ///< above the panels; empty: none
    QString valueLabel; ///< beside the colour bar
    QString differenceLabel;

    std::vector<FigureBar> bars;
    std::vector<FigurePoint> points;
    std::vector<double> nullValues;
    double observed = std::numeric_limits<double>::quiet_NaN();
    double threshold = std::numeric_limits<double>::quiet_NaN(); ///< line across a volcano plot
    QString xLabel, yLabel;

    int dpi = 300;   ///< PNG
    QString command; ///< goes into the file's metadata
    QString source;  ///< what the numbers are from: dump, fingerprint
    QString caption; ///< draft, plain text

    /// The scale of each panel (all the same when shared; differences have their own).
    std::vector<ColorScale> scales() const;
    std::int64_t cells() const;
};

struct FigureOptions {
    std::optional<QSizeF> inches; ///< unset: 5.5 in wide (one panel 3.5 in); height 0: to fit
    double fontPoints = 8;
    QString fontFamily;               ///< as FigureSpec; "sans" and "serif" also do
    std::optional<ColorMap> colorMap; ///< unset: viridis, or vik for signed scores
    RangeOptions range;
    bool sharedRange = true;
    bool panelLetters = true;
    bool layerZeroAtTop = true;
    bool annotate = false;
    int annotationDigits = 2;
    bool marks = true;
    bool legend = true;
    bool legendAbove = false;
    double tickDensity = 1;
    bool decimalComma = false;
    QString rowTitle, columnTitle; ///< instead of "Layer" and "Head" (or the tasks)
    QString title;
    QString valueLabel; ///< instead of what the scores say
    QString command;
    int dpi = 300;
};

/// The asked-for blocks of `scores`, up to four panels.
/// @param values empty: means; else four, by blockIndex, [layers × heads], e.g. another reduction
FigureSpec blocksFigure(const engine::Scores& scores, const FigureOptions& options = {},
                        const std::vector<std::vector<double>>& values = {});
FigureSpec heatmapFigure(const engine::Scores& scores, Block block,
                         const FigureOptions& options = {}, const std::vector<double>& values = {});
/// Block means; `bars` may bring intervals (statistics), else only the means are drawn.
FigureSpec barsFigure(const engine::Scores& scores, const FigureOptions& options = {},
                      std::vector<FigureBar> bars = {});
/// The block in the three modes, and B−S, H−S, H−B. All three of one dump and the same cells.
/// @throws qkov::UsageError where they are not
FigureSpec compareFigure(const engine::Scores& behavioral, const engine::Scores& structural,
                         const engine::Scores& hybrid, Block block,
                         const FigureOptions& options = {});
/// Sample × sample; positions as in Scores. Orders as pairHeatmap; empty: groups together, in each
/// the samples with the most conflict first.
FigureSpec pairsFigure(const engine::Scores& scores, Block block, std::size_t layerRow,
                       std::size_t headColumn, const FigureOptions& options = {},
                       const std::vector<std::size_t>& orderA = {},
                       const std::vector<std::size_t>& orderB = {});
/// The scores of samples i, j (positions) over layers × heads, one panel per block.
FigureSpec pairFigure(const engine::Scores& scores, std::size_t i, std::size_t j,
                      const FigureOptions& options = {});
/// @param points x: effect, y: −log10 q, marked: significant
FigureSpec volcanoFigure(std::vector<FigurePoint> points, double alpha, const QString& effectLabel,
                         const FigureOptions& options = {});
FigureSpec nullFigure(std::vector<double> nullValues, double observed, const QString& valueLabel,
                      const FigureOptions& options = {});

/// Positions of the samples so that groups stay together, and in each the highest means come first.
std::vector<std::size_t> orderByGroup(const std::vector<QString>& groups,
                                      const std::vector<double>& means);

/// "5.5in", "140mm", "5.5x4in", "neurips", "iclr", "icml", "icml-wide", "acl", "acl-wide",
/// "single", "slide". Height 0: to fit. @throws qkov::UsageError
QSizeF parseFigureSize(const QString& text);
/// Names parseFigureSize knows.
QStringList figureSizeNames();
/// Sets spec.inches' height so that cells are square and nothing is left over.
void fitHeight(FigureSpec& spec);

} // namespace qkov::ui
