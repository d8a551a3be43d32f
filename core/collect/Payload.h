// SPDX-License-Identifier: GPL-3.0-or-later
// How the gradients of one micro-batch lie in memory and in spool files. No Torch.
#pragma once

#include "collect/CollectPlan.h"

#include <cstddef>
#include <vector>

namespace qkov::collect {

/// For each recorded parameter, for each sample of the batch, without padding: input then
/// gradOutput [length, d] (factored) or the gradient (dense) in the stored type; then, where it is
/// collected, the bias gradients [dOut] as float32.
struct PayloadLayout {
    PayloadLayout(const CollectPlan& plan, const CollectRequest& request, const PlannedTask& task,
                  const std::vector<std::size_t>& batch);
    std::size_t offset(std::size_t parameter, std::size_t inBatch) const {
        return offsets[parameter * samples + inBatch];
    }
    std::size_t biasOffset(std::size_t parameter, std::size_t inBatch) const {
        return biasOffsets[parameter * samples + inBatch];
    }
    std::size_t samples = 0;
    std::size_t bytes = 0;
    std::vector<std::size_t> offsets, biasOffsets;
};

} // namespace qkov::collect
