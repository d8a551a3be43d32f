// SPDX-License-Identifier: GPL-3.0-or-later
// One matrix and its words, as a value: what screen and paper draw.
#pragma once

#include "base/Index.h"

#include <QChar>
#include <QString>
#include <QStringList>

#include <cmath>
#include <cstdint>
#include <vector>

namespace qkov::engine {
class Scores;
struct ScoreHeader;
} // namespace qkov::engine

namespace qkov::ui {

struct CellPosition {
    int row = 0;
    int column = 0;
    friend bool operator==(CellPosition, CellPosition) = default;
};

struct HeatmapData {
    enum class State : std::uint8_t { ok, missing, notComputed };
    /// Joins columns (or rows) first..last, e.g. query heads that share a kv head.
    struct Bracket {
        int first = 0;
        int last = 0;
        QString label; ///< left out where it does not fit
    };

    QString title;    ///< "O"
    QString subtitle; ///< "mean interference", small
    QString rowTitle;
    QString columnTitle;
    int rows = 0;
    int columns = 0;
    QStringList rowLabels;               ///< rows entries, or empty: 0, 1, 2…
    QStringList columnLabels;            ///< columns entries, or empty
    std::vector<double> values;          ///< [rows × columns], row-major
    std::vector<State> states;           ///< same size, or empty: NaN is missing
    std::vector<QChar> marks;            ///< a glyph per cell (null: none), or empty; head types
    std::vector<Bracket> columnBrackets; ///< below the map
    std::vector<Bracket> rowBrackets;    ///< left of the map
    /// Room for column brackets though this map has none: linked maps stay the same size.
    bool reserveColumnBrackets = false;
    std::vector<Bracket> columnBands; ///< strips of grey beside the map: groups of samples
    std::vector<Bracket> rowBands;
    std::vector<double> rowMeans;          ///< per row, or empty: bars right of the map (NaN: none)
    std::vector<double> columnMeans;       ///< per column, or empty: bars above the map
    std::vector<std::uint8_t> significant; ///< per cell, or empty; 1: a dot
    std::vector<std::vector<CellPosition>> outlines; ///< a line around each set: clusters

    bool contains(CellPosition p) const {
        return p.row >= 0 && p.row < rows && p.column >= 0 && p.column < columns;
    }
    std::size_t index(int row, int column) const {
        return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
               static_cast<std::size_t>(column);
    }
    double value(int row, int column) const { return values[index(row, column)]; }
    State state(int row, int column) const {
        if (!states.empty() && states[index(row, column)] != State::ok) {
            return states[index(row, column)];
        }
        return std::isnan(value(row, column)) ? State::missing : State::ok;
    }
    /// Fills rowMeans and columnMeans with the means of the cells that have a value.
    void addMargins();
    QString rowLabel(int row) const;
    QString columnLabel(int column) const;
    /// Sizes agree with rows × columns.
    bool consistent() const;
};

/// Layer × head map of one block: titles, labels, kv brackets, missing and not computed cells.
/// @param values [layers × heads]; empty: the mean over pairs
HeatmapData blockHeatmap(const engine::Scores& scores, Block block,
                         const std::vector<double>& values = {});
/// Sample × sample map of one cell (rows: task A's samples). Positions as in Scores.
/// @param order… permutations of the samples (seriation); empty: as stored
HeatmapData pairHeatmap(const engine::Scores& scores, Block block, std::size_t layerRow,
                        std::size_t headColumn, const std::vector<std::size_t>& orderA = {},
                        const std::vector<std::size_t>& orderB = {});
/// Glyph of a behavioral head type ("induction"); null for "mixed" and unknown ones.
QChar headTypeMark(const QString& type);
/// "previous token" for "previous_token".
QString headTypeLabel(const QString& type);
/// What a cell's number means: "Mean interference (structural, magnitude)".
QString valueLabel(const engine::ScoreHeader& header);
/// True where the default map diverges around 0 (signed, cosine).
bool isSigned(const engine::ScoreHeader& header);

} // namespace qkov::ui
