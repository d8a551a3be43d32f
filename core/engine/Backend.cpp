// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Backend.h"

#include <algorithm>
#include <cmath>

namespace qkov::engine {

double scaleFor(double largest, DType type, Transform transform) {
    if (!(largest > 0) || std::isinf(largest)) {
        return 1;
    }
    int e = std::ilogb(largest);
    if (transform == Transform::squareRoot) {
        e -= (e % 2 + 2) % 2;
    }
    // Float32 paths multiply in float32.
    const int most = type == DType::f64 ? 1020 : 126;
    return std::ldexp(1.0, std::clamp(-e, -most, most));
}

double undo(double scale, Transform transform) {
    switch (transform) {
    case Transform::square:
        return 1 / (scale * scale);
    case Transform::squareRoot:
        return 1 / std::sqrt(scale);
    case Transform::identity:
    case Transform::absolute:
        break;
    }
    return 1 / scale;
}

void Backend::prepare(std::span<const PrepareCall> calls, const Job& job) {
    std::vector<StatisticsCall> statistics_;
    for (const PrepareCall& call : calls) {
        statistics_.push_back({call.tile, call.part, false, call.statistics});
    }
    statistics(statistics_, job);
    std::vector<std::vector<double>> scales;
    std::vector<FisherCall> sums;
    scales.reserve(calls.size());
    for (const PrepareCall& call : calls) {
        if (call.fisher == nullptr) {
            continue;
        }
        std::vector<double>& scale = scales.emplace_back();
        for (std::int64_t s = 0; s < call.tile->samples; ++s) {
            scale.push_back(scaleFor(call.statistics[s].largest, call.tile->dtype, call.transform));
        }
        sums.push_back(
            {call.tile, call.part, call.transform, scale.data(), call.weights, call.fisher});
    }
    if (!sums.empty()) {
        fisher(sums, job);
    }
}

} // namespace qkov::engine
