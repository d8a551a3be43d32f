// SPDX-License-Identifier: GPL-3.0-or-later
// The collection itself. Torch.
#pragma once

#include "collect/BatchCapture.h"
#include "collect/Collect.h"
#include "collect/CollectPlan.h"
#include "collect/Spool.h"
#include "dump/DumpInfo.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

namespace qkov::collect {

/// @throws UsageError unknown name, or no such GPU
at::Device resolveDevice(const std::string& device);
double measureRate(const CollectRequest& request);
CollectSummary runCollect(const CollectRequest& request, Job& job);

/// How one batch lies in its spool file: for each recorded parameter, for each sample of the batch,
/// input then gradOutput [length, d] (factored) or the gradient (dense) in the stored type; then,
/// if collected, the bias gradients [dOut] as float32.
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

/// Numbers that float16 could not hold.
struct RoundingLoss {
    double written = 0; ///< non-zero before
    double zeroed = 0;  ///< zero after
};

/// Rounds a captured batch to the stored type and lays it out.
/// @throws InputError a loss or gradient is not finite (sample named), or overflows
std::vector<std::byte> packBatch(const CollectPlan& plan, const CollectRequest& request,
                                 const PlannedTask& task, const std::vector<std::size_t>& batch,
                                 const BatchCapture& capture, RoundingLoss& loss);

/// Spool → dump. Fisher from the numbers as stored. `types` without names: none are written.
void writeDump(const CollectPlan& plan, const CollectRequest& request, const Spool& spool,
               const dump::HeadTypes& types, at::Device device, Job& job, CollectSummary& summary);

} // namespace qkov::collect
