// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/ScoreMemory.h"

#include <algorithm>

namespace qkov::ui {

namespace {
constexpr double mostBytes = 1.5e9;

double bytesOf(const engine::Scores& scores) {
    const auto& h = scores.header();
    return 4.0 * static_cast<double>(std::count(h.blocks.begin(), h.blocks.end(), true)) *
           static_cast<double>(h.layers.size()) * static_cast<double>(h.heads.size()) *
           static_cast<double>(h.nA()) * static_cast<double>(h.nB());
}
} // namespace

ScoreMemory::ScoresPtr ScoreMemory::find(const std::string& key) const {
    for (const Kept& k : m_kept) {
        if (k.key == key) {
            return k.scores;
        }
    }
    return nullptr;
}

void ScoreMemory::keep(const std::string& key, ScoresPtr scores, bool inFile) {
    std::erase_if(m_kept, [&](const Kept& k) { return k.key == key; });
    const double bytes = inFile ? 0 : bytesOf(*scores);
    m_kept.push_front({key, std::move(scores), bytes});
    double total = 0;
    for (auto it = m_kept.begin(); it != m_kept.end();) {
        total += it->bytes;
        it = total > mostBytes && it != m_kept.begin() ? m_kept.erase(it) : std::next(it);
    }
}

} // namespace qkov::ui
