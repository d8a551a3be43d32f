// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/SharedInputs.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace qkov::collect {
namespace {

constexpr double largestHalf = 65504;
constexpr double noise = 0x1p-20;
// A largest number this big leaves the range that it needs below.
constexpr double roomy = 0x1p-6;
constexpr double mostTaken = 8;

/// log2(a / b) where that is whole.
std::optional<int> powerBetween(float a, float b) {
    int exponentA = 0, exponentB = 0;
    if (!(a > 0) || !(b > 0) || std::frexp(a, &exponentA) != std::frexp(b, &exponentB)) {
        return {};
    }
    return exponentA - exponentB;
}

} // namespace

std::optional<SharedScale> sharedScale(std::span<const FactorSizes> sizes, bool exact) {
    SharedScale scale;
    scale.gradOutput.assign(sizes.size(), 0);
    for (std::size_t p = 1; p < sizes.size(); ++p) {
        if (sizes[p].input > sizes[scale.source].input) {
            scale.source = p;
        }
    }
    const double x = sizes[scale.source].input;
    if (!(x > 0)) {
        return scale; // every product is zero
    }
    // Gradients as they stand beside the source's input.
    std::vector<double> gradients;
    for (std::size_t p = 0; p < sizes.size(); ++p) {
        const auto power = powerBetween(sizes[scale.source].input, sizes[p].input);
        if (!power) {
            return {}; // rounded where float16 has few digits
        }
        scale.gradOutput[p] = -*power;
        gradients.push_back(std::ldexp(double(sizes[p].gradOutput), -*power));
    }
    const double most = *std::max_element(gradients.begin(), gradients.end());
    if (!(most > 0)) {
        return scale;
    }
    double least = most;
    for (const double g : gradients) {
        if (g > (exact ? 0 : noise * most)) {
            least = std::min(least, g);
        }
    }
    const double middle = std::round((std::log2(x) - (std::log2(least) + std::log2(most)) / 2) / 2);
    const int shift = static_cast<int>(std::min(middle, std::floor(std::log2(largestHalf / most))));
    const double input = std::ldexp(x, -shift);
    if (input > largestHalf) {
        return {};
    }
    const auto suffices = [&](double now, double alone) {
        return now >= roomy || now * mostTaken >= alone;
    };
    if (!suffices(input, std::sqrt(x * most)) ||
        !suffices(std::ldexp(least, shift), std::sqrt(x * least))) {
        return {};
    }
    scale.input = -shift;
    for (int& power : scale.gradOutput) {
        power += shift;
    }
    return scale;
}

float largestStored(const void* values, DType type, std::size_t n) {
    // Of finite numbers the magnitudes compare as their bits do.
    if (type == DType::f16) {
        const auto* bits = static_cast<const std::uint16_t*>(values);
        std::uint16_t largest = 0;
        for (std::size_t i = 0; i < n; ++i) {
            largest = std::max<std::uint16_t>(largest, bits[i] & 0x7fff);
        }
        return halfToFloat(largest);
    }
    const auto* numbers = static_cast<const float*>(values);
    float largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        largest = std::max(largest, std::abs(numbers[i]));
    }
    return largest;
}

} // namespace qkov::collect
