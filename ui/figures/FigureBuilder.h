// SPDX-License-Identifier: GPL-3.0-or-later
// What the makers of figures share.
#pragma once

#include "engine/Scores.h"
#include "figures/FigureSpec.h"

namespace qkov::ui::figure {

QString tr(const char* text);
QString q(const std::string& text);
/// Options taken over; `width` in inches where none is asked for.
FigureSpec base(FigureKind kind, const FigureOptions& options, double width);
/// The same, with what the scores say: source, label, signed colours.
FigureSpec base(FigureKind kind, const FigureOptions& options, double width,
                const engine::ScoreHeader& header);
/// Texts of the options; fits the height where none is asked for.
void finish(FigureSpec& spec, const FigureOptions& options);
/// Model, tasks, n, variant, mode and Fisher, as sentences.
QString conditions(const engine::ScoreHeader& header);

} // namespace qkov::ui::figure
