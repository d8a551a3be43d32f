// SPDX-License-Identifier: GPL-3.0-or-later
// The metric as it is written down, in float64 loops: no layout code, no kernels, no tricks.
#pragma once

#include "RandomCase.h"

namespace qkov::test {

struct ReferenceCell {
    bool missing = false;
    std::vector<double> score; ///< [nA, nB]; NaN: missing sample
    std::vector<double> size;  ///< Σ |term|, scaled alike: what rounding errors are relative to
    double lambda = 0, fisherMin = 0, fisherMax = 0, fisherMedian = 0, below = 0;
};

class Reference {
  public:
    Reference(const Case& c, engine::Mode mode);
    ReferenceCell cell(Block block, std::int64_t layer, std::int64_t head) const;
    /// Every ordered pair of A's then B's samples.
    ReferenceCell pooledProfile(Block block, std::int64_t layer, std::int64_t head) const;

    std::vector<std::size_t> samplesA, samplesB; ///< dump indices
    static bool canGroup(const Case& c);

  private:
    struct Place {
        std::string parameter;
        std::array<const StoredParameter*, 2> numbers; ///< per task
        std::size_t index;
        std::int64_t headRow;  ///< row in a reduced Fisher of a fused matrix
        std::int64_t partSize; ///< numbers of this head in this parameter
    };
    std::vector<Place> places(Block block, std::int64_t layer, std::int64_t head) const;
    double gradient(int task, const Place& p, std::size_t sample) const;
    double contribution(int task, const Place& p, std::size_t sample) const;
    double absolute(int task, const Place& p, std::size_t sample) const;
    std::vector<double> structural(const std::vector<Place>& places, std::int64_t head,
                                   Block block) const;
    std::vector<double> behavioral(const std::vector<Place>& places, Block block,
                                   std::int64_t layer, std::int64_t head) const;
    double reduced(int task, const std::string& set, const Place& p, Block block,
                   std::int64_t layer, std::int64_t head) const;
    int typeOf(Block block, std::int64_t layer, std::int64_t head) const;
    std::vector<std::int64_t> distinctHeads(Block block) const;
    std::vector<int> fisherTasks() const;
    bool stored(int task, const std::string& set, const std::string& parameter) const;
    double samplesBehind(int task, const std::string& set, const std::string& parameter) const;
    std::size_t count(int task) const {
        return m_case.source.dump.tasks[std::size_t(task)].samples.size();
    }
    ReferenceCell profile(const std::vector<Place>& places, bool allPairs) const;

    const Case& m_case;
    const model::ModelShape& m_model;
    engine::Mode m_mode;
};

} // namespace qkov::test
