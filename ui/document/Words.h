// SPDX-License-Identifier: GPL-3.0-or-later
// How cells, pairs, modes and findings are said, in one place.
#pragma once

#include "document/Selection.h"
#include "engine/Scores.h"

#include <QString>

#include <optional>

namespace qkov::ui {

QString number(double value);       ///< 3 significant digits, "–" for NaN
QString count(std::int64_t value);  ///< thin-space thousands
QString quoted(const std::string&); ///< as QString

QString modeName(engine::Mode mode);  ///< "Behavioral"
QString variantName(engine::Variant); ///< "Signed"
QString variantHint(engine::Variant); ///< one line: what it reads as
QString modeHint(engine::Mode mode);  ///< one line: what it divides by, and its theory note

/// "L7 · H3 · O"
QString cellName(const engine::ScoreHeader& header, const CellRef& cell);
/// The head's behavioral type with spaces, or empty.
QString typeName(const engine::ScoreHeader& header, int row, int column);
/// "shares kv head 1 with H2, H3"; empty when it shares with none, and for Q and O.
QString kvSharing(const engine::ScoreHeader& header, const CellRef& cell);
/// The shape's kv head under this column.
int kvHeadOf(const engine::ScoreHeader& header, int column);

enum class FisherState { healthy, thin, poor, unknown };
FisherState fisherState(const engine::CellHealth& health);
/// "healthy", "thin: 63% of the parameters lie below the floor"…
QString fisherWords(const engine::CellHealth& health);

/// The overview's one sentence. Empty when nothing is computed.
QString headline(const engine::Scores& scores);
/// A finding to paste into notes.
QString finding(const engine::Scores& scores, const CellRef& cell, std::optional<PairRef> pair,
                double pairScore);
/// "96 × 96 samples · structural · pooled Fisher · …": what the numbers are from.
/// @param tasks name them too
QString provenance(const engine::ScoreHeader& header, bool tasks = true);
/// The command that reproduces it.
QString commandLine(const engine::ScoreHeader& header, const QString& dumpPath);

/// Same model place or sample id in another analysis; none if it isn't there.
std::optional<CellRef> translated(std::optional<CellRef> cell, const engine::ScoreHeader& from,
                                  const engine::ScoreHeader& to);
std::optional<PairRef> translated(std::optional<PairRef> pair, const engine::ScoreHeader& from,
                                  const engine::ScoreHeader& to);

} // namespace qkov::ui
