// SPDX-License-Identifier: GPL-3.0-or-later
// Results that were computed before: in memory, so that switching back is instant, and below it on
// disk, so that it is still quick in a later session.
#pragma once

#include "engine/ScoreCache.h"

#include <list>
#include <memory>
#include <string>

namespace qkov::ui {

class ScoreMemory {
  public:
    using ScoresPtr = std::shared_ptr<const engine::Scores>;

    /// Of another dump: what memory holds is of no use.
    void clear() { m_kept.clear(); }
    /// Null: not there.
    ScoresPtr find(const std::string& key) const;
    /// Newest first; the oldest go when they are too large together.
    /// @param inFile read from a file when needed: takes no memory
    void keep(const std::string& key, ScoresPtr scores, bool inFile);

    /// Null: nothing is kept on disk.
    const std::shared_ptr<const engine::ScoreCache>& disk() const { return m_disk; }
    void setDisk(std::shared_ptr<const engine::ScoreCache> disk) { m_disk = std::move(disk); }

  private:
    struct Kept {
        std::string key;
        ScoresPtr scores;
        double bytes = 0;
    };
    std::list<Kept> m_kept;
    std::shared_ptr<const engine::ScoreCache> m_disk;
};

} // namespace qkov::ui
