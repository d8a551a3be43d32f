// SPDX-License-Identifier: GPL-3.0-or-later
// Random small models, dumps and requests.
#pragma once

#include "MemorySource.h"
#include "engine/ScoreRequest.h"

#include <random>

namespace qkov::test {

class Random {
  public:
    explicit Random(unsigned seed)
        : m_engine(seed) {}
    int below(int n) { return static_cast<int>(m_engine() % static_cast<unsigned>(n)); }
    bool chance(double p) { return uniform() < p; }
    double uniform() { return std::uniform_real_distribution<double>(0, 1)(m_engine); }
    double normal() { return std::normal_distribution<double>()(m_engine); }
    template <class T>
    T pick(std::initializer_list<T> list) {
        return *(list.begin() + below(static_cast<int>(list.size())));
    }

  private:
    std::mt19937 m_engine;
};

/// Options of the generator that single tests fix.
struct CaseOptions {
    int fixedSamples = 0;
    double scale = 0; ///< of gradients; 0: random
    bool onlyDense = false;
    bool headTypes = true; ///< may be present
    bool writable = false; ///< only what DumpWriter can write: no float64, factors of one type
};

struct Case {
    MemorySource source;
    engine::ScoreRequest request;
    std::string text; ///< for messages
};

std::unique_ptr<Case> randomCase(unsigned seed, const CaseOptions& options = {});

} // namespace qkov::test
