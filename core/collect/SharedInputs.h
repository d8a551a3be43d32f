// SPDX-License-Identifier: GPL-3.0-or-later
// Projections of a layer that read the same numbers (q, k, v; not o): their input is stored once.
// No Torch.
#pragma once

#include "base/DType.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace qkov::collect {

/// Largest magnitudes of one sample's factors of one parameter as they were rounded: each parameter
/// by itself, the input divided and the output's gradient multiplied by a power of two.
struct FactorSizes {
    float input = 0, gradOutput = 0;
};

/// How to store one sample's input once, all products unchanged: the input of parameter `source`
/// times 2^input, the output's gradient of parameter p times 2^gradOutput[p].
struct SharedScale {
    std::size_t source = 0;
    int input = 0;
    std::vector<int> gradOutput;
};

/// float16 has few exponents, and one scale of the input must serve gradients of different size.
/// Nothing where that would take more than three bits of range from a parameter that has none to
/// spare.
/// @param exact gradients of any size count; else those below 2^-20 of the largest, which float32
///        passes can't tell from zero, decide nothing
std::optional<SharedScale> sharedScale(std::span<const FactorSizes> sizes, bool exact);

/// Largest magnitude of finite numbers stored as f16 or f32.
float largestStored(const void* values, DType type, std::size_t n);

} // namespace qkov::collect
