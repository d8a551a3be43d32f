// SPDX-License-Identifier: GPL-3.0-or-later
// Which pairs to list: a filter of words and terms, run over all cells without holding them.
#pragma once

#include "base/Index.h"
#include "engine/Scores.h"

#include <QString>
#include <QStringList>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace qkov::ui {

/// One line of the table: positions on the map, indices of samples.
struct ConflictRow {
    Block block = Block::Q;
    std::uint16_t row = 0;
    std::uint16_t column = 0;
    std::uint32_t i = 0;
    std::uint32_t j = 0;
    float score = 0;
};

/// Terms, joined by "and": `layer:3`, `layer:3-5,8`, `head:2`, `block:QO`, `type:induction`,
/// `id:math-7` (either sample), `a:math-7`, `b:code-2`, `group:add` (either), `text:for`,
/// `score:>0.5`, `score:<-1`; a plain word is searched in ids and groups. Case is ignored.
class ConflictFilter {
  public:
    static ConflictFilter parse(const QString& text);
    bool empty() const { return m_terms.empty(); }
    /// What of the text could not be understood; the other terms still apply.
    const QStringList& problems() const { return m_problems; }

    bool acceptsCell(const engine::ScoreHeader& header, Block block, std::size_t row,
                     std::size_t column) const;
    /// False: no pair of these passes; so that whole cells and samples are decided once.
    bool acceptsScore(double score) const;

    /// Per term, whether sample A, or B, satisfies it by itself.
    struct SampleMatch {
        std::vector<std::vector<bool>> a, b;
        bool accepts(std::size_t i, std::size_t j) const;
    };
    SampleMatch matchSamples(const engine::ScoreHeader& header) const;

  private:
    struct Term {
        enum class Key { layer, head, block, type, id, a, b, group, text, score, word } key;
        QString text;
        std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
        char comparison = '=';
        double number = 0;
    };
    std::vector<Term> m_terms;
    QStringList m_problems;
};

struct ConflictQuery {
    enum class Sort : std::uint8_t { score, block, layer, head, sampleA, sampleB, groupA, groupB };
    /// Row and column of one cell (with `block`); none: every distinct cell.
    std::optional<std::array<std::size_t, 2>> cell;
    Block block = Block::Q;
    ConflictFilter filter;
    std::size_t limit = 1'000'000;
    Sort sort = Sort::score;
    /// For the score column: as the table shows it. Which pairs are kept when there are more than
    /// `limit` is always the most conflicted ones.
    bool ascending = false;
};

struct ConflictList {
    std::vector<ConflictRow> rows;
    std::uint64_t matches = 0; ///< rows.size() or more, when the limit cut
};

/// @param poll called once per cell; may throw Cancelled. @param progress fraction done
ConflictList runQuery(const engine::Scores& scores, const ConflictQuery& query,
                      const std::function<void(double)>& progress);
void sortRows(const engine::ScoreHeader& header, std::vector<ConflictRow>& rows,
              ConflictQuery::Sort sort, bool ascending);

} // namespace qkov::ui
