// SPDX-License-Identifier: GPL-3.0-or-later
// The pair scores of the selected head in all four blocks, read off the UI thread.
#pragma once

#include "document/Selection.h"
#include "engine/Scores.h"

#include <QObject>

#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace qkov::ui {

class Document;
class JobRunner;

/// A cell selected without a pair gets its most conflicted one.
class CellPairs : public QObject {
    Q_OBJECT

  public:
    explicit CellPairs(Document* document);

    /// The cell the values belong to; none while nothing is selected or the first read runs.
    std::optional<CellRef> cell() const { return m_cell; }
    const std::shared_ptr<const engine::Scores>& scores() const { return m_scores; }
    /// Row-major [nA, nB] of `block` at cell()'s layer and head; empty when missing.
    const std::vector<float>& values(Block block) const { return m_values[blockIndex(block)]; }
    const std::vector<float>& values() const;
    /// NaN when missing.
    double score(Block block, PairRef pair) const;
    bool loading() const;

  signals:
    void changed();

  private:
    void update();
    void choosePair();

    Document* m_document;
    JobRunner* m_runner;
    std::optional<CellRef> m_cell;
    std::shared_ptr<const engine::Scores> m_scores;
    std::array<std::vector<float>, 4> m_values;
    /// What is being read, or was last.
    std::optional<CellRef> m_wanted;
    std::shared_ptr<const engine::Scores> m_wantedScores;
};

} // namespace qkov::ui
