// SPDX-License-Identifier: GPL-3.0-or-later
#include "results/Summary.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace qkov::results {
namespace {

using engine::ScoreHeader;
using engine::Scores;

/// The best `count` of a stream of pairs, in memory of O(count).
class Best {
  public:
    Best(std::size_t count, bool lowFirst)
        : m_count(count)
        , m_sign(lowFirst ? -1.0f : 1.0f) {}

    /// Pairs of one cell, row-major [.., nB].
    void add(Cell cell, const std::vector<float>& pairs, std::size_t nB) {
        for (std::size_t k = 0; m_count > 0 && k < pairs.size(); ++k) {
            const float score = pairs[k];
            // Most pairs are worse than the worst kept: one comparison settles them. NaN fails it.
            if (m_heap.size() == m_count && !(m_sign * score >= m_sign * m_heap.front().score)) {
                continue;
            }
            if (!std::isnan(score)) {
                offer({cell, k / nB, k % nB, score});
            }
        }
    }

    std::vector<Conflict> take() {
        const auto order = [this](const Conflict& a, const Conflict& b) { return before(a, b); };
        std::sort_heap(m_heap.begin(), m_heap.end(), order);
        return std::move(m_heap);
    }

  private:
    bool before(const Conflict& a, const Conflict& b) const {
        if (a.score != b.score) {
            return m_sign * a.score > m_sign * b.score;
        }
        const auto key = [](const Conflict& c) {
            return std::tuple(c.cell.layer, c.cell.head, c.i, c.j, c.cell.block);
        };
        return key(a) < key(b);
    }

    void offer(const Conflict& c) {
        const auto order = [this](const Conflict& a, const Conflict& b) { return before(a, b); };
        if (m_heap.size() == m_count) {
            if (!before(c, m_heap.front())) {
                return;
            }
            std::pop_heap(m_heap.begin(), m_heap.end(), order);
            m_heap.pop_back();
        }
        m_heap.push_back(c);
        std::push_heap(m_heap.begin(), m_heap.end(), order);
    }

    std::size_t m_count;
    float m_sign;
    std::vector<Conflict> m_heap; ///< its front is the worst kept
};

} // namespace

std::vector<Conflict> topConflicts(const Scores& scores, const std::vector<Block>& blocks,
                                   std::size_t count, std::optional<Cell> cell, Job* job) {
    const ScoreHeader& h = scores.header();
    if (count == 0) {
        return {}; // without reading what may be hundreds of megabytes
    }
    Best best(count, lowIsConflict(h.request.variant));
    for (const Block block : blocks) {
        if (cell && cell->block != block) {
            continue;
        }
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            if (!scores.computed(l) || (cell && cell->layer.value != h.layers[l])) {
                continue;
            }
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                // One cell asked for by name is given as it is, shared kv slice or not.
                if (cell ? cell->head.value != h.heads[c] : !h.distinct(block, c)) {
                    continue;
                }
                if (job) {
                    job->checkCancelled();
                }
                best.add({block, LayerIndex(h.layers[l]), HeadIndex(h.heads[c])},
                         scores.pairs(block, l, c), h.nB());
            }
        }
    }
    return best.take();
}

std::vector<Conflict> topConflictsOfPairs(const ScoreHeader& header, Cell cell,
                                          const std::vector<float>& pairs, std::size_t count) {
    Best best(count, lowIsConflict(header.request.variant));
    best.add(cell, pairs, header.nB());
    return best.take();
}

} // namespace qkov::results
