// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreText.h"

#include "Session.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "results/Summary.h"

#include <cmath>

namespace qkov::cli {

std::string cellName(Cell cell) {
    return "L" + std::to_string(cell.layer.value) + " H" + std::to_string(cell.head.value) + " " +
           blockName(cell.block);
}

void requireScores(const engine::Scores& scores, const std::filesystem::path& file) {
    const engine::ScoreHeader& h = scores.header();
    for (const Block block : allBlocks) {
        for (std::size_t l = 0; h.blocks[blockIndex(block)] && l < h.layers.size(); ++l) {
            for (std::size_t c = 0; scores.computed(l) && c < h.heads.size(); ++c) {
                if (!std::isnan(scores.mean(block, l, c))) {
                    return;
                }
            }
        }
    }
    throw InputError("nothing can be computed" +
                         (h.missing.empty() ? std::string() : ": " + h.missing.front()) +
                         (h.missing.size() > 1 ? ", and more is missing" : ""),
                     file);
}

std::string describeScores(const engine::Scores& scores, std::size_t conflicts) {
    const engine::ScoreHeader& h = scores.header();
    std::string text =
        h.taskA + " → " + h.taskB + " · " + (h.model.name.empty() ? "" : h.model.name + " · ") +
        std::to_string(h.layers.size()) + " layers × " + std::to_string(h.heads.size()) +
        " heads · " + std::to_string(h.nA()) + " × " + std::to_string(h.nB()) + " samples\n";
    text += engine::name(h.request.variant);
    if (h.request.mode) {
        text += " · " + engine::name(*h.request.mode);
    }
    text += " · Fisher " + engine::name(h.request.fisherTask);
    if (h.request.estimator) {
        text += " " + engine::name(*h.request.estimator);
    }
    text += " · " + h.device + " · " + formatDuration(h.totalSeconds) + "\n\n";

    const results::Overview o = results::overview(scores);
    if (!o.mostConflicted || !o.peak) {
        return text + "Nothing could be computed.\n";
    }
    text += std::string(1, blockName(*o.mostConflicted)) + " is the most conflicted block · peak " +
            cellName(*o.peak) + " " + formatNumber(o.maxInterference);
    if (std::isfinite(o.peakRatio) && o.peakRatio > 0) {
        text += " · " + formatNumber(o.peakRatio) + " × its block's median";
    }
    text += "\n\n";

    std::vector<std::vector<std::string>> rows{{"block", "mean", "strongest cell", ""}};
    const bool low = results::lowIsConflict(h.request.variant);
    for (const Block block : allBlocks) {
        if (!h.blocks[blockIndex(block)]) {
            continue;
        }
        double best = std::nan("");
        std::string where;
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; scores.computed(l) && c < h.heads.size(); ++c) {
                const double m = scores.mean(block, l, c);
                if (!std::isnan(m) && (std::isnan(best) || (low ? m < best : m > best))) {
                    best = m;
                    where = cellName({block, LayerIndex(h.layers[l]), HeadIndex(h.heads[c])});
                }
            }
        }
        rows.push_back({std::string(1, blockName(block)),
                        formatNumber(o.blockMean[blockIndex(block)]), formatNumber(best), where});
    }
    text += table(rows, {false, true, true, false});

    const auto top = results::topConflicts(scores, {allBlocks.begin(), allBlocks.end()}, conflicts);
    if (!top.empty()) {
        text += "\nTop conflicts\n";
        rows.clear();
        for (const results::Conflict& c : top) {
            rows.push_back({formatNumber(c.score), cellName(c.cell), h.samplesA[c.i].id, "×",
                            h.samplesB[c.j].id});
        }
        text += table(rows, {true, false, false, false, false});
    }
    return text;
}

} // namespace qkov::cli
