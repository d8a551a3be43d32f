// SPDX-License-Identifier: GPL-3.0-or-later
// Figures with two axes: block means, effects, null distributions.
#include "base/Numbers.h"
#include "figures/FigureBuilder.h"
#include "results/Summary.h"

#include <cmath>

namespace qkov::ui {

using namespace figure;

FigureSpec barsFigure(const engine::Scores& scores, const FigureOptions& options,
                      std::vector<FigureBar> bars) {
    const engine::ScoreHeader& h = scores.header();
    FigureSpec s = base(FigureKind::bars, options, 3.5, h);
    const bool intervals = !bars.empty();
    if (bars.empty()) {
        const results::Overview o = results::overview(scores);
        for (const Block b : allBlocks) {
            if (h.blocks[blockIndex(b)]) {
                bars.push_back(
                    {QString(QChar::fromLatin1(blockName(b))), o.blockMean[blockIndex(b)]});
            }
        }
    }
    s.bars = std::move(bars);
    s.xLabel = tr("Block");
    s.yLabel = s.valueLabel;
    s.caption = tr("%1 per block, over its cells (each kv slice once)").arg(s.valueLabel) +
                (intervals ? tr("; bars: 95% intervals. ") : QStringLiteral(". ")) + conditions(h);
    finish(s, options);
    return s;
}

FigureSpec volcanoFigure(std::vector<FigurePoint> points, double alpha, const QString& effectLabel,
                         const FigureOptions& options) {
    FigureSpec s = base(FigureKind::volcano, options, 3.5);
    s.points = std::move(points);
    s.threshold =
        alpha > 0 && alpha < 1 ? -std::log10(alpha) : std::numeric_limits<double>::quiet_NaN();
    s.xLabel = effectLabel;
    s.yLabel = QStringLiteral("−log₁₀ q");
    s.caption =
        tr("Effect and significance of every cell; filled: q ≤ %1.").arg(q(formatNumber(alpha)));
    finish(s, options);
    return s;
}

FigureSpec nullFigure(std::vector<double> nullValues, double observed, const QString& label,
                      const FigureOptions& options) {
    FigureSpec s = base(FigureKind::null, options, 3.5);
    s.caption =
        tr("Null distribution of %1 permutations, and the observed value.").arg(nullValues.size());
    s.nullValues = std::move(nullValues);
    s.observed = observed;
    s.xLabel = label;
    s.yLabel = tr("Permutations");
    finish(s, options);
    return s;
}

} // namespace qkov::ui
