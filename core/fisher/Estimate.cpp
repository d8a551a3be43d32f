// SPDX-License-Identifier: GPL-3.0-or-later
#include "fisher/Estimate.h"

#include "base/Error.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace qkov::fisher {

std::vector<double> sampleWeights(engine::Estimator estimator, std::size_t samples, double decay) {
    std::vector<double> weights(samples);
    if (estimator == engine::Estimator::mean) {
        std::fill(weights.begin(), weights.end(), 1.0 / static_cast<double>(samples));
        return weights;
    }
    if (!(decay >= 0 && decay < 1)) {
        throw UsageError("the decay of the moving average must be at least 0 and less than 1");
    }
    const double correction = 1 - std::pow(decay, static_cast<double>(samples));
    for (std::size_t i = 0; i < samples; ++i) {
        const double age = static_cast<double>(samples - 1 - i);
        weights[i] = (1 - decay) * std::pow(decay, age) / correction;
    }
    return weights;
}

double ridge(const engine::Regularization& r, double meanFisher) {
    return std::max(r.ridge, r.ridgeRelative * meanFisher);
}

namespace {

/// The elements of rank r and r + 1 (0-based) of non-negative numbers: their bits sort as they do,
/// so a histogram over the leading bits leaves a small bucket to sort. It spans least … most, a few
/// hundred buckets that stay in the nearest cache.
std::pair<double, double> twoRanks(std::span<const double> values, std::size_t r, double least,
                                   double most) {
    constexpr int shift = 48;
    const auto leading = [](double v) { return std::bit_cast<std::uint64_t>(v + 0.0) >> shift; };
    const std::uint64_t base = leading(least);
    const std::uint64_t last = leading(most) - base;
    const auto key = [&](double v) { return std::min(leading(v) - base, last); };
    std::vector<std::uint32_t> counts(static_cast<std::size_t>(last) + 1);
    for (const double v : values) {
        ++counts[key(v)];
    }
    std::size_t below = 0;
    std::size_t bucket = 0;
    while (below + counts[bucket] <= r) {
        below += counts[bucket++];
    }
    std::vector<double> inside;
    inside.reserve(counts[bucket]);
    double next = std::numeric_limits<double>::infinity();
    for (const double v : values) {
        const auto k = key(v);
        if (k == bucket) {
            inside.push_back(v);
        } else if (k > bucket) {
            next = std::min(next, v);
        }
    }
    const auto at = inside.begin() + static_cast<std::ptrdiff_t>(r - below);
    std::nth_element(inside.begin(), at, inside.end());
    const double first = *at;
    const double second = at + 1 == inside.end() ? next : *std::min_element(at + 1, inside.end());
    return {first, second};
}

} // namespace

engine::CellHealth noHealth() {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {none, none, none, none, none};
}

engine::CellHealth constantHealth(double fisher, double epsilon, double lambda) {
    return {fisher, fisher, fisher, fisher < std::max(epsilon, lambda) ? 1.0 : 0.0, lambda};
}

engine::CellHealth health(std::span<const double> fisher, double epsilon, double lambda) {
    if (fisher.empty()) {
        return noHealth();
    }
    const double limit = std::max(epsilon, lambda);
    engine::CellHealth h{fisher[0], 0, fisher[0], 0, lambda};
    // Lanes of their own: one chain of comparisons would take as long as the scoring.
    constexpr std::size_t lanes = 8;
    std::array<double, lanes> least{}, most{};
    std::array<std::uint64_t, lanes> under{};
    least.fill(fisher[0]);
    most.fill(fisher[0]);
    const std::size_t n = fisher.size();
    std::size_t k = 0;
    for (; k + lanes <= n; k += lanes) {
        for (std::size_t l = 0; l < lanes; ++l) {
            const double f = fisher[k + l];
            least[l] = f < least[l] ? f : least[l];
            most[l] = f > most[l] ? f : most[l];
            under[l] += f < limit ? 1 : 0;
        }
    }
    for (; k < n; ++k) {
        least[0] = std::min(least[0], fisher[k]);
        most[0] = std::max(most[0], fisher[k]);
        under[0] += fisher[k] < limit ? 1 : 0;
    }
    h.min = *std::min_element(least.begin(), least.end());
    h.max = *std::max_element(most.begin(), most.end());
    const std::uint64_t below = std::accumulate(under.begin(), under.end(), std::uint64_t(0));
    if (h.min == h.max) {
        h.median = h.min;
    } else {
        const auto [low, high] = twoRanks(fisher, (n - 1) / 2, h.min, h.max);
        h.median = n % 2 == 1 ? low : low + (high - low) / 2;
    }
    h.shareBelow = static_cast<double>(below) / static_cast<double>(n);
    return h;
}

} // namespace qkov::fisher
