// SPDX-License-Identifier: GPL-3.0-or-later
// Maps of scores as figures, with a draft of their captions.
#include "base/Error.h"
#include "base/Numbers.h"
#include "engine/Scores.h"
#include "figures/FigureBuilder.h"

#include <QCoreApplication>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

using namespace figure;

namespace {

QString maps(const FigureSpec& s) {
    for (const HeatmapData& d : s.panels) {
        for (int r = 0; r < d.rows; ++r) {
            for (int c = 0; c < d.columns; ++c) {
                if (d.state(r, c) == HeatmapData::State::missing) {
                    return QStringLiteral(" ") + tr("Hatched cells are missing.");
                }
            }
        }
    }
    return {};
}

/// Groups together, and in each the samples with the most conflict first.
std::vector<std::size_t> conflictOrder(const engine::ScoreHeader& h,
                                       const std::vector<dump::SampleInfo>& samples,
                                       const std::vector<float>& pairs, bool rows) {
    std::vector<QString> groups;
    std::vector<double> means;
    const double sign = isSigned(h) ? -1 : 1; // low is conflict there
    for (std::size_t n = 0; n < samples.size(); ++n) {
        groups.push_back(q(samples[n].group));
        double sum = 0;
        const std::size_t others = rows ? h.nB() : h.nA();
        for (std::size_t k = 0; k < others && pairs.size() == h.nA() * h.nB(); ++k) {
            sum += static_cast<double>(pairs[rows ? n * h.nB() + k : k * h.nB() + n]);
        }
        means.push_back(sign * sum);
    }
    return orderByGroup(groups, means);
}

} // namespace

FigureSpec blocksFigure(const engine::Scores& scores, const FigureOptions& options,
                        const std::vector<std::vector<double>>& values) {
    const engine::ScoreHeader& h = scores.header();
    FigureSpec s = base(FigureKind::blocks, options, 5.5, h);
    QStringList names;
    for (const Block b : allBlocks) {
        if (h.blocks[blockIndex(b)]) {
            s.panels.push_back(blockHeatmap(
                scores, b, values.empty() ? std::vector<double>{} : values.at(blockIndex(b))));
            names << s.panels.back().title;
        }
    }
    if (s.panels.empty()) {
        throw UsageError("these results hold no block to draw");
    }
    s.caption = tr("%1 for every layer and head of %2. ")
                    .arg(s.valueLabel, names.join(QStringLiteral(", "))) +
                conditions(h) + maps(s);
    finish(s, options);
    return s;
}

FigureSpec heatmapFigure(const engine::Scores& scores, Block block, const FigureOptions& options,
                         const std::vector<double>& values) {
    const engine::ScoreHeader& h = scores.header();
    if (!h.blocks[blockIndex(block)]) {
        throw UsageError(std::string("these results hold no block ") + blockName(block));
    }
    FigureSpec s = base(FigureKind::heatmap, options, 3.5, h);
    s.panels.push_back(blockHeatmap(scores, block, values));
    s.caption =
        tr("%1 for every layer and head of block %2. ").arg(s.valueLabel, s.panels[0].title) +
        conditions(h) + maps(s);
    finish(s, options);
    return s;
}

FigureSpec compareFigure(const engine::Scores& behavioral, const engine::Scores& structural,
                         const engine::Scores& hybrid, Block block, const FigureOptions& options) {
    const engine::ScoreHeader& h = structural.header();
    const std::array<const engine::Scores*, 3> all{&behavioral, &structural, &hybrid};
    for (const engine::Scores* other : all) {
        const engine::ScoreHeader& o = other->header();
        if (o.layers != h.layers || o.heads != h.heads || o.taskA != h.taskA ||
            o.taskB != h.taskB || !o.blocks[blockIndex(block)]) {
            throw UsageError("the three modes do not cover the same tasks, layers and heads");
        }
    }
    FigureSpec s = base(FigureKind::compare, options, 6.75, h);
    s.gridColumns = 3;
    const std::array<QString, 3> names{tr("Behavioral"), tr("Structural"), tr("Hybrid")};
    for (std::size_t n = 0; n < 3; ++n) {
        s.panels.push_back(blockHeatmap(*all[n], block));
        s.panels.back().title = names[n];
        s.panels.back().subtitle.clear();
        s.difference.push_back(0);
    }
    const std::array<std::tuple<std::size_t, std::size_t, QString>, 3> pairs{
        std::tuple{std::size_t(0), std::size_t(1), tr("B − S")},
        {std::size_t(2), std::size_t(1), tr("H − S")},
        {std::size_t(2), std::size_t(0), tr("H − B")}};
    for (const auto& [a, b, title] : pairs) {
        HeatmapData d = s.panels[a];
        d.title = title;
        for (std::size_t i = 0; i < d.values.size(); ++i) {
            d.values[i] = s.panels[a].values[i] - s.panels[b].values[i];
            if (s.panels[b].states[i] != HeatmapData::State::ok) {
                d.states[i] = s.panels[b].states[i];
            }
        }
        s.panels.push_back(std::move(d));
        s.difference.push_back(1);
    }
    const QString variant = q(engine::name(h.request.variant));
    s.valueLabel = tr("Mean interference (%1)").arg(variant);
    s.differenceLabel = tr("Difference");
    s.caption = tr("Block %1 under the three normalizations (top) and their differences (bottom). ")
                    .arg(QChar::fromLatin1(blockName(block))) +
                tr("Tasks: %1 (A, n = %2) and %3 (B, n = %4). Variant: %5.")
                    .arg(q(h.taskA))
                    .arg(h.nA())
                    .arg(q(h.taskB))
                    .arg(h.nB())
                    .arg(variant) +
                maps(s);
    finish(s, options);
    return s;
}

FigureSpec pairsFigure(const engine::Scores& scores, Block block, std::size_t layerRow,
                       std::size_t headColumn, const FigureOptions& options,
                       const std::vector<std::size_t>& orderA,
                       const std::vector<std::size_t>& orderB) {
    const engine::ScoreHeader& h = scores.header();
    if (layerRow >= h.layers.size() || headColumn >= h.heads.size()) {
        throw UsageError("these results hold no such layer and head");
    }
    FigureSpec s = base(FigureKind::pairs, options, 3.5, h);
    const std::vector<float> pairs = scores.computed(layerRow)
                                         ? scores.pairs(block, layerRow, headColumn)
                                         : std::vector<float>{};
    s.panels.push_back(
        pairHeatmap(scores, block, layerRow, headColumn,
                    orderA.empty() ? conflictOrder(h, h.samplesA, pairs, true) : orderA,
                    orderB.empty() ? conflictOrder(h, h.samplesB, pairs, false) : orderB));
    s.valueLabel = isSigned(h) ? tr("Signed interference of a pair") : tr("Interference of a pair");
    s.caption = tr("Every sample of %1 (rows) against every sample of %2 (columns) in %3%4. ")
                    .arg(q(h.taskA), q(h.taskB), s.panels[0].title,
                         orderA.empty() && orderB.empty()
                             ? tr(", by group, the most conflicted samples first")
                             : QString()) +
                conditions(h);
    finish(s, options);
    return s;
}

FigureSpec pairFigure(const engine::Scores& scores, std::size_t i, std::size_t j,
                      const FigureOptions& options) {
    const engine::ScoreHeader& h = scores.header();
    if (i >= h.nA() || j >= h.nB()) {
        throw UsageError("these results hold no such pair of samples");
    }
    std::vector<std::vector<double>> values(4);
    for (const Block b : allBlocks) {
        if (!h.blocks[blockIndex(b)]) {
            continue;
        }
        auto& list = values[blockIndex(b)];
        list.assign(h.layers.size() * h.heads.size(), std::numeric_limits<double>::quiet_NaN());
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size() && scores.computed(l); ++c) {
                const std::vector<float> pairs = scores.pairs(b, l, c);
                if (!pairs.empty()) {
                    list[l * h.heads.size() + c] = static_cast<double>(pairs[i * h.nB() + j]);
                }
            }
        }
    }
    FigureSpec s = blocksFigure(scores, options, values);
    s.kind = FigureKind::pair;
    s.valueLabel =
        isSigned(h) ? tr("Signed interference of the pair") : tr("Interference of the pair");
    s.caption = tr("The pair %1 (%2) and %3 (%4) for every layer and head. ")
                    .arg(q(h.samplesA[i].id), q(h.taskA), q(h.samplesB[j].id), q(h.taskB)) +
                conditions(h) + maps(s);
    s.inches = options.inches.value_or(QSizeF(s.inches.width(), 0)); // with this label
    finish(s, options);
    return s;
}

} // namespace qkov::ui
