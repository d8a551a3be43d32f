// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers on the four maps: one reduction of the pair scores per cell.
#pragma once

#include "engine/Scores.h"
#include "results/Summary.h"

#include <QObject>

#include <array>
#include <map>
#include <memory>
#include <vector>

namespace qkov::ui {

class Document;
class JobRunner;

class MapValues : public QObject {
    Q_OBJECT

  public:
    explicit MapValues(Document* document);

    results::Reduction reduction() const { return m_reduction; }
    void setReduction(results::Reduction reduction);
    /// [layers × heads]; empty before anything is computed. The mean is there at once; the others
    /// are read off the UI thread, and the former values stay until they are.
    const std::vector<double>& values(Block block) const { return m_values[blockIndex(block)]; }
    double value(Block block, int row, int column) const;
    /// The scores and the reduction that values() are of.
    const std::shared_ptr<const engine::Scores>& scores() const { return m_scores; }
    results::Reduction shownReduction() const { return m_shown; }
    bool loading() const;

  signals:
    void changed();

  private:
    using Values = std::array<std::vector<double>, 4>;
    void update();
    void show(std::shared_ptr<const engine::Scores> scores, results::Reduction r, Values values);

    Document* m_document;
    JobRunner* m_runner;
    results::Reduction m_reduction = results::Reduction::mean;
    results::Reduction m_shown = results::Reduction::mean;
    std::shared_ptr<const engine::Scores> m_scores;
    Values m_values;
    /// Of complete scores, by reduction.
    std::map<results::Reduction, std::pair<std::weak_ptr<const engine::Scores>, Values>> m_cache;
};

} // namespace qkov::ui
