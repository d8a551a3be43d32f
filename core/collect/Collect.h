// SPDX-License-Identifier: GPL-3.0-or-later
// From a checkpoint and sample files to a dump of per-sample attention gradients.
#pragma once

#include "base/DType.h"
#include "base/Job.h"
#include "fisher/Accumulator.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace qkov::collect {

struct TaskFile {
    std::string name;
    std::filesystem::path file; ///< JSON Lines
};

enum class LossReduction : std::uint8_t { mean, sum };

struct CollectRequest {
    /// A model directory, or a TorchScript module (.pt, or a folder that has a model.pt and no
    /// safetensors) together with `layout`.
    std::filesystem::path model;
    std::vector<TaskFile> tasks;
    std::filesystem::path out;
    bool factored = true;
    DType storage = DType::f16; ///< f16 or f32
    bool computeDouble = false; ///< float64 forward and backward
    LossReduction loss = LossReduction::mean;
    fisher::Estimator estimator = fisher::Estimator::ema;
    double emaDecay = 0.99;
    bool structuralFisher = true;
    bool fisherPerHead = false;    ///< structural Fisher as one mean per head, not per element
    bool behavioralFisher = false; ///< also one mean per head type and layer; implies headTypes
    bool headTypes = false;
    std::filesystem::path probe; ///< JSON Lines with input_ids; empty: random repeated tokens
    bool biasGradients = true;   ///< of the q, k and v biases, where the model has them
    /// Continue what an interrupted run of the same request left beside `out`.
    bool resume = false;
    std::filesystem::path layout; ///< a user's layout file; empty: the registry's
    std::int64_t maxSamples = 0;  ///< per task; 0: all
    std::int64_t maxTokens = 0;   ///< per sample; 0: the model's own limit
    std::int64_t memoryBudget = std::int64_t(2) << 30;
    /// On a GPU, bytes of its memory for gradients and activations beside the model's weights;
    /// 0: what it has. There memoryBudget is the host's alone.
    std::int64_t deviceBudget = 0;
    int threads = 0;
    std::string device = "auto";
};

struct CollectEstimate {
    double memoryBytes = 0;
    double diskBytes = 0;     ///< of the dump
    double peakDiskBytes = 0; ///< dump and unfinished work together, while writing
    double seconds = 0;       ///< rough: FLOPs over this machine's measured rate
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
    double loadSeconds = 0; ///< of these: until the model was ready to run
    std::uint64_t diskBytes = 0;
};

/// The TorchScript module that `model` stands for: a .pt file, or the model.pt of a folder without
/// safetensors. Empty: none.
std::filesystem::path scriptOf(const std::filesystem::path& model);
/// Names and shapes of a module's parameters. Loads Torch.
/// @throws InputError if the file is no TorchScript module
std::map<std::string, std::vector<std::int64_t>>
scriptParameters(const std::filesystem::path& file);

/// Reads and checks config and samples; runs nothing but a short measurement of this machine.
/// @throws InputError, UsageError
CollectEstimate estimate(const CollectRequest& request);
/// Finished batches are kept in `<out>.partial` until the dump is whole; after an interruption or a
/// cancel the folder stays, for `resume`. Fisher is computed from the numbers as stored, so that
/// computing it again from the dump gives the same.
/// @throws InputError, UsageError, Cancelled
CollectSummary collect(const CollectRequest& request, Job& job);

} // namespace qkov::collect
