// SPDX-License-Identifier: GPL-3.0-or-later
#include "fisher/Estimate.h"

#include "base/Error.h"
#include "engine/cpu/Kernels.h"

#include <algorithm>
#include <array>
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

/// The element of rank r, and the next one if there is one.
std::pair<double, double> ranksOf(std::span<double> values, std::size_t r) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(r);
    std::nth_element(values.begin(), at, values.end());
    const double first = *at;
    return {first, at + 1 == values.end() ? first : *std::min_element(at + 1, values.end())};
}

/// A range that very likely holds the elements of rank r and r + 1, and few others: from a sample.
std::pair<double, double> rangeAround(std::span<const double> values, std::size_t r) {
    constexpr std::size_t looked = 1024;
    // Four standard deviations of the sample's own rank to either side.
    constexpr std::size_t margin = 64;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const std::size_t n = values.size();
    if (n <= 8 * looked) {
        return {-infinity, infinity};
    }
    std::array<double, looked> sample{};
    for (std::size_t i = 0; i < looked; ++i) {
        // Uneven steps: the numbers may have the period of a matrix row.
        sample[i] = values[i * n / looked + i * 7919 % (n / looked)];
    }
    const std::size_t middle = r * looked / n;
    double low = -infinity;
    auto rest = sample.begin();
    if (middle > margin) {
        rest += middle - margin;
        std::nth_element(sample.begin(), rest, sample.end());
        low = *rest;
    }
    if (middle + margin >= looked) {
        return {low, infinity};
    }
    const auto end = sample.begin() + middle + margin;
    std::nth_element(rest, end, sample.end());
    return {low, *end};
}

} // namespace

engine::CellHealth noHealth() {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {none, none, none, none, none};
}

engine::CellHealth constantHealth(double fisher, double epsilon, double lambda) {
    return {fisher, fisher, fisher, fisher < std::max(epsilon, lambda) ? 1.0 : 0.0, lambda};
}

Extent extentOf(std::span<const double> fisher) {
    return engine::cpu::kernels().extent(fisher.data(), static_cast<std::int64_t>(fisher.size()));
}

engine::CellHealth health(std::span<const double> fisher, double epsilon, double lambda) {
    return health(fisher, extentOf(fisher), epsilon, lambda);
}

engine::CellHealth health(std::span<const double> fisher, const Extent& extent, double epsilon,
                          double lambda) {
    if (fisher.empty() || !std::isfinite(extent.sum)) {
        return noHealth();
    }
    const auto& kernels = engine::cpu::kernels();
    const auto n = static_cast<std::int64_t>(fisher.size());
    engine::CellHealth h{extent.least, extent.least, extent.most, 0, lambda};
    const double limit = std::max(epsilon, lambda);
    const auto rank = static_cast<std::size_t>((n - 1) / 2);
    const auto [low, high] = rangeAround(fisher, rank);
    // The range holds an eighth of them as a rule.
    const bool all = std::isinf(low) && std::isinf(high);
    std::vector<double> kept(static_cast<std::size_t>(all ? n : n / 4) +
                             static_cast<std::size_t>(engine::cpu::packAlign));
    auto found = kernels.between(fisher.data(), n, low, high, limit, kept.data(),
                                 static_cast<std::int64_t>(kept.size()));
    std::int64_t at = static_cast<std::int64_t>(rank) - found.below;
    if (!found.complete || at < 0 || at + 1 >= found.kept) {
        // The sample misled: all of them.
        constexpr double infinity = std::numeric_limits<double>::infinity();
        kept.resize(fisher.size() + static_cast<std::size_t>(engine::cpu::packAlign));
        found = kernels.between(fisher.data(), n, -infinity, infinity, limit, kept.data(),
                                static_cast<std::int64_t>(kept.size()));
        at = static_cast<std::int64_t>(rank);
    }
    const auto [first, second] = ranksOf(
        std::span(kept).first(static_cast<std::size_t>(found.kept)), static_cast<std::size_t>(at));
    h.median = n % 2 == 1 ? first : first + (second - first) / 2;
    h.shareBelow = static_cast<double>(found.under) / static_cast<double>(n);
    return h;
}

} // namespace qkov::fisher
