// SPDX-License-Identifier: GPL-3.0-or-later
// From task files to batches that fit into memory. Internal to planning; no Torch.
#pragma once

#include "collect/CollectPlan.h"
#include "collect/Samples.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace qkov::collect {

/// Numbers of all matrices.
/// @param biases those of their biases too, where they are recorded
double recordedWeights(const std::vector<RecordedParameter>& parameters, bool biases);

/// A batch as stored, before it is written: of B samples padded to T tokens.
double payloadBytes(const CollectPlan& plan, const CollectRequest& request, double batch,
                    double tokens);

/// What memory holds, beside the program.
struct Footprint {
    double loading = 0; ///< while the weights are read
    double types = 0;   ///< while head types are told
    /// Of a running batch of B samples padded to T tokens, and of its numbers as stored.
    std::function<double(double batch, double tokens)> running, stored;
    /// What is ready to be written waits beside what is being written.
    double alone(double batch, double tokens) const {
        return running(batch, tokens) + 2 * stored(batch, tokens);
    }
};

/// How batches are cut.
struct Cutting {
    int workers = 1;      ///< batches that may run at the same time, if memory allows
    double gpuBytes = -1; ///< of a GPU's memory, beside the weights; < 0: it runs on the CPU
    std::function<bool(std::int64_t batch, std::int64_t tokens)> fits;
};

/// What any request must be like, whatever the model. @throws UsageError
void checkRequest(const CollectRequest& request);

/// Reads the task files and cuts them into batches; sets the plan's estimates.
/// @param rules of the model; the request's own are added
/// @param cuttingFor called once all are read
/// @throws InputError a task file can't be used, or the longest sample doesn't fit into memory
void planTasks(CollectPlan& plan, const CollectRequest& request, SampleRules rules,
               const Footprint& footprint, const std::function<Cutting()>& cuttingFor);

} // namespace qkov::collect
