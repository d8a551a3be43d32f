// SPDX-License-Identifier: GPL-3.0-or-later
// From a checkpoint and sample files to a dump of per-sample attention gradients.
#pragma once

#include "base/DType.h"
#include "base/Job.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::collect {

struct TaskFile {
    std::string name;
    std::filesystem::path file; ///< JSON Lines
};

enum class LossReduction : std::uint8_t { mean, sum };

struct CollectRequest {
    std::filesystem::path model;
    std::vector<TaskFile> tasks;
    std::filesystem::path out;
    bool factored = true;
    DType storage = DType::f16; ///< f16 or f32
    bool computeDouble = false; ///< float64 forward and backward
    LossReduction loss = LossReduction::mean;
    double emaDecay = 0.99;
    bool structuralFisher = true;
    std::int64_t maxSamples = 0; ///< per task; 0: all
    std::int64_t maxTokens = 0;  ///< per sample; 0: the model's own limit
    std::int64_t memoryBudget = std::int64_t(2) << 30;
    int threads = 0;
    std::string device = "auto";
};

struct CollectEstimate {
    double memoryBytes = 0;
    double diskBytes = 0;
    double seconds = 0; ///< rough: FLOPs over this machine's measured rate
    std::int64_t samples = 0;
    std::int64_t longestTokens = 0;
};

struct CollectSummary {
    struct Task {
        std::string name;
        std::int64_t samples = 0;
        std::int64_t predictedTokens = 0;
        std::int64_t truncated = 0; ///< samples cut to maxTokens
        double meanLoss = 0;        ///< mean over samples of the sample's loss
    };
    std::vector<Task> tasks;
    std::vector<std::string> warnings;
    double seconds = 0;
    std::uint64_t diskBytes = 0;
};

/// Reads and checks config and samples, runs nothing. @throws InputError, UsageError
CollectEstimate estimate(const CollectRequest& request);
/// @throws InputError, UsageError, Cancelled
CollectSummary collect(const CollectRequest& request, Job& job);

} // namespace qkov::collect
