// SPDX-License-Identifier: GPL-3.0-or-later
// What the Compare page says of modes and of two results beside each other.
#pragma once

#include "engine/Scores.h"

#include <QStringList>

namespace qkov::ui {

/// What the theory says of a mode, short enough for a narrow card.
QString verdict(engine::Mode mode);
/// Why the verdict is what it is.
QString reason(engine::Mode mode);
/// Measured: these modes' maps rank cells as the size of B's gradients does.
QString pictureSentence(const QStringList& modesOfB, const engine::ScoreRequest& request);
/// Not measured: what follows from the formula.
QString pictureByFormula(const engine::ScoreRequest& request);

bool sameCells(const engine::ScoreHeader& a, const engine::ScoreHeader& b);
/// Why two maps can't be subtracted; empty: they can.
QString cellsDiffer(const engine::ScoreHeader& a, const engine::ScoreHeader& b);
/// What makes their sizes incomparable; empty: nothing.
QString optionsDiffer(const engine::ScoreHeader& a, const engine::ScoreHeader& b);

} // namespace qkov::ui
