// SPDX-License-Identifier: GPL-3.0-or-later
// Exact per-sample gradients of the attention projections from one forward and one backward pass
// over a padded batch. Torch.
#pragma once

#include "base/Job.h"
#include "collect/Collect.h"
#include "collect/Decoder.h"
#include "collect/Samples.h"

#include <span>
#include <vector>

namespace qkov::collect {

/// Sample b's gradient of the weight is Σ_t gradOutput[b,t] ⊗ input[b,t] ([out, in]); of the bias
/// Σ_t gradOutput[b,t]. Rows at and behind the sample's length have gradOutput = 0.
struct ProjectionFactors {
    std::int64_t layer = 0;
    Slot slot = Slot::q;
    const Linear* linear = nullptr; ///< owned by the decoder
    at::Tensor input;               ///< [B, T, in]; shared by projections with the same input
    at::Tensor gradOutput;          ///< [B, T, out]
};

/// A gradient that exists only as a whole (TorchScript): [B, *shape], and of the bias [B, out].
struct WholeGradient {
    at::Tensor weight, bias; ///< bias undefined: not collected
};

struct BatchCapture {
    std::vector<double> losses;                 ///< [B], each sample's own mean or sum
    std::vector<ProjectionFactors> projections; ///< by layer, then Decoder::projections' order
    std::vector<WholeGradient> whole;           ///< instead of projections, in the plan's order
};

/// One padded batch. The loss differentiated is Σ_b loss_b; samples don't interact, so every
/// gradOutput row belongs to its own sample's loss alone. No weight gradient is computed: gradients
/// go back to the first layer's projections.
/// @throws Cancelled between steps of either pass
BatchCapture captureBatch(const Decoder& decoder, std::span<const Sample* const> samples,
                          LossReduction reduction, const CancelToken& token);

/// Losses only.
std::vector<double> batchLosses(const Decoder& decoder, std::span<const Sample* const> samples,
                                LossReduction reduction, const CancelToken& token);

/// The weight gradients of the batch's samples in the parameter's own orientation, [B, d0, d1].
at::Tensor denseGradients(const ProjectionFactors& factors);

} // namespace qkov::collect
