// SPDX-License-Identifier: GPL-3.0-or-later
// Diagonal empirical Fisher, one sample's gradient at a time, in any order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qkov::fisher {

enum class Estimator : std::uint8_t {
    ema,     ///< F_t = β F_{t−1} + (1−β) g_t², F_0 = 0, in sample order; F_n / (1 − β^n)
    mean,    ///< (1/n) Σ g_i², with its variance
    oneshot, ///< (1/n) Σ g_i² in one pass, without a variance
};

std::string estimatorName(Estimator estimator); ///< "ema", "mean", "oneshot"
/// @throws UsageError listing the accepted names
Estimator parseEstimatorName(const std::string& name);

/// Weight of sample i of n in the estimate: every estimator is a weighted sum Σ w_i g_i² with
/// Σ w_i = 1, which is why samples may come in any order.
/// ema: (1−β) β^(n−1−i) / (1−β^n).
/// @throws UsageError β outside [0, 1)
std::vector<double> sampleWeights(Estimator estimator, double decay, std::int64_t samples);

/// Σ w_i g_i² over `size` parameters, in float64.
class Accumulator {
  public:
    /// `variance`: also keep Welford's second moment of g² (for Estimator::mean).
    explicit Accumulator(std::size_t size, bool variance = false);

    /// Adds one sample. `threads` workers share the parameters.
    void add(const float* gradient, double weight, int threads = 1);
    /// Adds `count` of one sample's numbers, from parameter `first` on. Without a variance; parts
    /// that don't overlap may be added at the same time.
    void addPart(std::size_t first, std::size_t count, const float* gradient, double weight);
    std::span<const double> fisher() const { return m_fisher; }
    /// Unbiased variance of g² over the samples added (each counts once); empty unless asked for,
    /// zero for fewer than two samples.
    std::vector<double> variance() const;
    void reset();

  private:
    std::vector<double> m_fisher;
    std::vector<double> m_mean, m_squares;
    std::int64_t m_count = 0;
};

} // namespace qkov::fisher
