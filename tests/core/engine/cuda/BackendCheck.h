// SPDX-License-Identifier: GPL-3.0-or-later
// Any Backend against obvious float64 loops, over random shapes, types, layouts and transforms.
// No Qt: the CUDA benchmark runs it too, on machines that have a device but no Qt.
#pragma once

#include "engine/Backend.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qkov::test {

/// Errors allowed, relative to the sum of the absolute values of the terms.
inline constexpr double fp32Tolerance = 1e-5;
inline constexpr double fastTolerance = 5e-3;
inline constexpr double passTolerance = 1e-6;
/// Factored gradients are rebuilt in float32.
inline constexpr double rebuiltTolerance = 1e-5;

struct BackendReport {
    int cases = 0;
    double worstScore = 0;
    double worstNorm = 0;
    double worstFisher = 0;
    double worstStatistics = 0;
    std::vector<std::string> failures; ///< one line each: the case and what was wrong
};

BackendReport checkBackend(engine::Backend& backend, engine::Precision precision, int cases,
                           std::uint64_t seed);

} // namespace qkov::test
