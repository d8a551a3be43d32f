// SPDX-License-Identifier: GPL-3.0-or-later
// A parameter's Fisher from its samples' gradients as stored. Torch.
#pragma once

#include "base/Job.h"
#include "collect/CollectPlan.h"
#include "fisher/Accumulator.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

namespace qkov::collect {

/// One sample's gradient of a parameter: float32, or on the way to a GPU as stored.
struct SampleGradient {
    std::size_t sample = 0;
    at::Tensor input, gradOutput; ///< [tokens, dIn], [tokens, dOut]; or
    at::Tensor gradient;          ///< [rows, columns]
};

/// Σ w g² where the model runs: in float64 on either side.
class FisherSum {
  public:
    /// @param weights of the task's samples
    FisherSum(const RecordedParameter& parameter, const std::vector<double>& weights,
              at::Device device, int threads);
    /// @throws Cancelled
    void add(const std::vector<SampleGradient>& samples, const CancelToken& token);
    std::vector<double> values() const; ///< [rows · columns]

  private:
    std::int64_t rows() const { return m_parameter.shape()[0]; }
    std::int64_t columns() const { return m_parameter.shape()[1]; }
    at::Tensor gradient(const SampleGradient& s, std::int64_t begin, std::int64_t end) const;

    const RecordedParameter& m_parameter;
    const std::vector<double>& m_weights;
    at::Device m_device;
    int m_threads;
    fisher::Accumulator m_host;
    at::Tensor m_sum;
};

} // namespace qkov::collect
