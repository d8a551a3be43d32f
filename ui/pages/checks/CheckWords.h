// SPDX-License-Identifier: GPL-3.0-or-later
// What the sanity checks mean, and what to do about them, in plain words.
#pragma once

#include "engine/Checks.h"
#include "engine/Scores.h"

#include <QString>

#include <vector>

namespace qkov::ui {

/// How a line of the checks page looks. Told by word and icon too, not by colour alone.
enum class CheckLevel { good, look, bad, skipped };

struct CheckText {
    CheckLevel level = CheckLevel::skipped;
    QString status;  ///< "Passed", "Look at this", "Failed", "Not tested"
    QString title;   ///< "Heads add up"
    QString meaning; ///< what was asked of the data
    QString detail;  ///< what came out
    QString advice;  ///< what to do; empty where there is nothing to do
};
CheckText checkText(const engine::Check& check);
/// The checks that a run makes, before it was made.
std::vector<CheckText> pendingTexts();
QString statusWord(CheckLevel level);

/// Fisher health over all cells of the scores, each kv slice once.
struct FisherSummary {
    std::size_t healthy = 0, thin = 0, poor = 0, unknown = 0;
    struct Cell {
        Block block;
        int row, column;
        engine::CellHealth health;
    };
    std::vector<Cell> worst; ///< not healthy, the largest share below the floor first, at most ten
};
FisherSummary fisherSummary(const engine::Scores& scores);
CheckText fisherText(const FisherSummary& summary);

} // namespace qkov::ui
