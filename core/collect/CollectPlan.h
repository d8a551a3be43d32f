// SPDX-License-Identifier: GPL-3.0-or-later
// Everything about a collection that is known before the model runs: samples read and checked,
// micro-batches, memory, disk. No Torch.
#pragma once

#include "collect/Collect.h"
#include "collect/DecoderSpec.h"
#include "collect/Samples.h"
#include "model/Checkpoint.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace qkov::collect {

/// A weight whose per-sample gradients are collected.
struct RecordedParameter {
    std::string name; ///< as in the file
    std::string bias; ///< its bias, if that is collected too; never of O
    std::int64_t layer = 0;
    bool inOut = false;
    std::int64_t dIn = 0, dOut = 0;
    /// Its input is that of the parameter before it.
    bool sharesInput = false;
    /// The parameter's own shape.
    std::vector<std::int64_t> shape() const {
        return inOut ? std::vector{dIn, dOut} : std::vector{dOut, dIn};
    }
};

struct PlannedTask {
    std::string name;
    std::vector<Sample> samples;
    /// Micro-batches of sample indices, of similar lengths.
    std::vector<std::vector<std::size_t>> batches;
    std::int64_t longest = 0, truncated = 0, predicted = 0;
};

struct CollectPlan {
    std::optional<model::Checkpoint> checkpoint; ///< none: a TorchScript module
    model::ModelShape shape;
    std::optional<model::HeadLayout> layout;   ///< always set by the functions below
    std::filesystem::path directory;           ///< of config.json and the tokenizer
    DecoderSpec spec;                          ///< of a checkpoint
    std::vector<RecordedParameter> parameters; ///< in capture order: by layer, Q K V O
    std::vector<PlannedTask> tasks;
    double weightBytes = 0;
    /// Batches that run at the same time, each on threads ÷ workers threads; 1 on a GPU. The
    /// batches themselves don't depend on it.
    int workers = 1;
    double storeBytes = 0; ///< of factors that stay in the GPU's memory; 0: none do
    double peakBytes = 0;  ///< of the whole run, in the GPU's memory where it runs on one
    double diskBytes = 0;
    double unfinishedBytes = 0; ///< on disk beside the dump while that is written
    double flops = 0;           ///< forward, backward and Fisher
    std::vector<std::string> warnings;
    /// How many parameters, `first` and those behind it, have the same input.
    std::size_t sameInput(std::size_t first) const;
    /// Threads of each worker.
    int operationThreads(const CollectRequest& request) const;
};

/// Groups samples by length so that `fits(batch, tokens)` holds for every group and padding is
/// small. A group of one is always allowed. Depends on nothing but its arguments.
std::vector<std::vector<std::size_t>>
planBatches(const std::vector<Sample>& samples,
            const std::function<bool(std::int64_t batch, std::int64_t tokens)>& fits);

/// Where the model will run.
struct PlanDevice {
    bool cuda = false;
    bool halfWeights = false;        ///< weights as halves (Products.h)
    double available = 0, total = 0; ///< the GPU's memory; 0: not known, the budget counts
    bool keep = false;               ///< factors may stay there
};

/// For a model directory.
/// @throws InputError, UsageError
CollectPlan planCollect(const CollectRequest& request, const PlanDevice& device);

/// A TorchScript module's parameters.
struct ScriptParameter {
    std::string name;
    std::vector<std::int64_t> shape;
};
/// Whether request.model is a TorchScript module rather than a model directory.
bool isScript(const CollectRequest& request);
/// For a module: its layout file says where the heads are, the config.json beside it how many.
/// Gradients are dense, one sample at a time.
CollectPlan planScript(const CollectRequest& request,
                       const std::vector<ScriptParameter>& parameters);

/// A fingerprint of all that decides the numbers: model files, samples, options, batches.
std::string planFingerprint(const CollectRequest& request, const CollectPlan& plan);

} // namespace qkov::collect
