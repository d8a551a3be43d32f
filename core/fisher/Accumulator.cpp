// SPDX-License-Identifier: GPL-3.0-or-later
#include "fisher/Accumulator.h"

#include "base/Error.h"
#include "base/Threads.h"

#include <algorithm>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define QKOV_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define QKOV_WIDE
#endif

namespace qkov::fisher {
namespace {

constexpr std::size_t chunkSize = std::size_t(1) << 16;

QKOV_WIDE void addSquares(const float* g, double weight, std::size_t n, double* target) {
    for (std::size_t k = 0; k < n; ++k) {
        const double v = g[k];
        target[k] += weight * (v * v);
    }
}

QKOV_WIDE void welford(const float* g, double count, std::size_t n, double* mean, double* squares) {
    for (std::size_t k = 0; k < n; ++k) {
        const double c = double(g[k]) * double(g[k]);
        const double delta = c - mean[k];
        mean[k] += delta / count;
        squares[k] += delta * (c - mean[k]);
    }
}

} // namespace

std::string estimatorName(Estimator estimator) {
    switch (estimator) {
    case Estimator::mean:
        return "mean";
    case Estimator::oneshot:
        return "oneshot";
    case Estimator::ema:
        break;
    }
    return "ema";
}

Estimator parseEstimatorName(const std::string& name) {
    for (const Estimator e : {Estimator::ema, Estimator::mean, Estimator::oneshot}) {
        if (estimatorName(e) == name) {
            return e;
        }
    }
    throw UsageError("unknown Fisher estimator \"" + name + "\"; use ema, mean or oneshot");
}

std::vector<double> sampleWeights(Estimator estimator, double decay, std::int64_t samples) {
    std::vector<double> weights(static_cast<std::size_t>(std::max<std::int64_t>(0, samples)));
    if (estimator != Estimator::ema) {
        std::fill(weights.begin(), weights.end(), 1.0 / static_cast<double>(samples));
        return weights;
    }
    if (!(decay >= 0 && decay < 1)) {
        throw UsageError("the EMA decay must lie in [0, 1)");
    }
    // (1−β)/(1−β^n) without cancellation for β near 1.
    const double first =
        decay == 0 ? 1.0
                   : (1 - decay) / -std::expm1(static_cast<double>(samples) * std::log(decay));
    double power = 1;
    for (std::size_t i = weights.size(); i-- > 0;) {
        weights[i] = first * power;
        power *= decay;
    }
    return weights;
}

Accumulator::Accumulator(std::size_t size, bool variance)
    : m_fisher(size, 0.0)
    , m_mean(variance ? size : 0, 0.0)
    , m_squares(variance ? size : 0, 0.0) {}

void Accumulator::add(const float* gradient, double weight, int threads) {
    ++m_count;
    const std::size_t size = m_fisher.size();
    const std::size_t chunks = (size + chunkSize - 1) / chunkSize;
    parallelFor(chunks, threads, [&](std::size_t chunk, int) {
        const std::size_t begin = chunk * chunkSize;
        const std::size_t n = std::min(chunkSize, size - begin);
        addSquares(gradient + begin, weight, n, m_fisher.data() + begin);
        if (!m_squares.empty()) {
            welford(gradient + begin, static_cast<double>(m_count), n, m_mean.data() + begin,
                    m_squares.data() + begin);
        }
    });
}

void Accumulator::addPart(std::size_t first, std::size_t count, const float* gradient,
                          double weight) {
    addSquares(gradient, weight, count, m_fisher.data() + first);
}

std::vector<double> Accumulator::variance() const {
    std::vector<double> result(m_squares.size(), 0.0);
    if (m_count > 1) {
        for (std::size_t k = 0; k < result.size(); ++k) {
            result[k] = m_squares[k] / static_cast<double>(m_count - 1);
        }
    }
    return result;
}

void Accumulator::reset() {
    m_count = 0;
    std::fill(m_fisher.begin(), m_fisher.end(), 0.0);
    std::fill(m_mean.begin(), m_mean.end(), 0.0);
    std::fill(m_squares.begin(), m_squares.end(), 0.0);
}

} // namespace qkov::fisher
