// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectPlan.h"

#include <algorithm>
#include <numeric>

namespace qkov::collect {
namespace {

// Padding allowed in a batch: the shortest sample has at least this share of the longest's tokens.
constexpr double shortestShare = 0.8;
constexpr std::int64_t freePadding = 8;

} // namespace

std::vector<std::vector<std::size_t>>
planBatches(const std::vector<Sample>& samples,
            const std::function<bool(std::int64_t, std::int64_t)>& fits) {
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    const auto length = [&](std::size_t i) {
        return static_cast<std::int64_t>(samples[i].ids.size());
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
    // Longest first: what doesn't fit shows at once, and a batch's T is its first sample's.
    std::vector<std::vector<std::size_t>> batches;
    for (const std::size_t i : order) {
        bool fresh = batches.empty();
        if (!fresh) {
            const std::int64_t tokens = length(batches.back().front());
            const auto size = static_cast<std::int64_t>(batches.back().size());
            const auto shortest = static_cast<std::int64_t>(shortestShare * double(tokens));
            fresh = length(i) < std::min(shortest, tokens - freePadding) || !fits(size + 1, tokens);
        }
        if (fresh) {
            batches.emplace_back();
        }
        batches.back().push_back(i);
    }
    return batches;
}

} // namespace qkov::collect
