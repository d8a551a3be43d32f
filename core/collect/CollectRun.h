// SPDX-License-Identifier: GPL-3.0-or-later
// The collection itself. Torch.
#pragma once

#include "collect/BatchCapture.h"
#include "collect/CapturedGradients.h"
#include "collect/Collect.h"
#include "collect/CollectPlan.h"
#include "collect/HostCopy.h"
#include "collect/Payload.h"
#include "collect/Spool.h"
#include "dump/DumpInfo.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

namespace qkov::collect {

/// @throws UsageError unknown name, or no such GPU
at::Device resolveDevice(const std::string& device);
/// The plan for a model directory or a TorchScript module.
CollectPlan makePlan(const CollectRequest& request);
double measureRate(const CollectRequest& request);
CollectSummary runCollect(const CollectRequest& request, Job& job);
/// The whole of Capture.h's capture().
std::unique_ptr<engine::GradientSource> runCapture(const CollectRequest& request, Job& job,
                                                   CollectSummary& summary);

/// Numbers that float16 could not hold.
struct RoundingLoss {
    double written = 0; ///< non-zero before
    double zeroed = 0;  ///< zero after
};

/// Rounds a captured batch to the stored type and lays it out, where its numbers are.
/// @throws InputError a loss or gradient is not finite (sample named), or overflows
PackedBatch packBatch(const CollectPlan& plan, const CollectRequest& request,
                      const PlannedTask& task, const std::vector<std::size_t>& batch,
                      const BatchCapture& capture, RoundingLoss& loss);

/// Adds the behavioral sets that writeDump() would store.
void addBehavioralFisher(CapturedGradients& source, at::Device device, Job& job);

/// Spool → dump. Fisher from the numbers as stored. `types` without names: none are written.
void writeDump(const CollectPlan& plan, const CollectRequest& request, const Spool& spool,
               const dump::HeadTypes& types, at::Device device, Job& job, CollectSummary& summary);

} // namespace qkov::collect
