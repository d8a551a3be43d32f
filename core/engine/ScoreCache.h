// SPDX-License-Identifier: GPL-3.0-or-later
// Scores that were computed before, one results file per configuration: going back to a mode
// already seen costs nothing. Bounded; the folder may be deleted at any time.
#pragma once

#include "engine/Scores.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace qkov::engine {

class ScoreCache {
  public:
    /// @param folder made at the first store; where it can't be, nothing is kept
    /// @param maxBytes of all files together; the longest unused go first
    explicit ScoreCache(std::filesystem::path folder, std::uint64_t maxBytes = std::uint64_t(2)
                                                                               << 30);

    /// $XDG_CACHE_HOME/qkov/scores, else ~/.cache/qkov/scores
    static std::filesystem::path defaultFolder();

    /// The same for requests that give the same numbers: everything but device, threads and memory
    /// budget counts. The fingerprint is DumpInfo's: another file, or a changed one, has another.
    static std::string key(const std::string& dumpFingerprint, const ScoreRequest& request);

    /// Scores of this dump and request, or null: never stored, or the file is damaged (then it is
    /// removed). Never throws for the state of the cache.
    std::shared_ptr<const Scores> find(const std::string& dumpFingerprint,
                                       const ScoreRequest& request) const;
    /// Keeps complete scores; does nothing for others, for an empty fingerprint, for more than half
    /// of maxBytes, or when the disk won't have it.
    void store(const std::string& dumpFingerprint, const ScoreRequest& request,
               const Scores& scores) const;
    void clear() const;

  private:
    void shrink() const;

    std::filesystem::path m_folder;
    std::uint64_t m_maxBytes;
};

} // namespace qkov::engine
