// SPDX-License-Identifier: GPL-3.0-or-later
// Gradients of any model, as a TorchScript module forward(input_ids, labels) → loss: one forward
// and backward pass per sample. Torch.
#pragma once

#include "collect/BatchCapture.h"
#include "collect/CollectPlan.h"

#include <memory>

namespace qkov::collect {

/// forward gets input_ids and labels as int64 [1, T] (labels −100: not predicted, not shifted, as
/// Hugging Face models take them) and returns the mean loss over the predicted tokens, a scalar or
/// the first item of a tuple.
class ScriptModel {
  public:
    /// @throws InputError not a TorchScript module
    ScriptModel(const std::filesystem::path& file, at::ScalarType compute, at::Device device);
    ~ScriptModel();
    std::vector<ScriptParameter> parameters() const;
    /// @throws InputError what the module throws, or a result that is no loss; Cancelled
    BatchCapture capture(const CollectPlan& plan, std::span<const Sample* const> samples,
                         LossReduction reduction, const CancelToken& token);

  private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

} // namespace qkov::collect
