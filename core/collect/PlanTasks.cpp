// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/PlanTasks.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "collect/MemoryPlan.h"
#include "collect/SampleTokenizer.h"

#include <algorithm>
#include <cmath>

namespace qkov::collect {
namespace {

double recordedNumbersPerToken(const std::vector<RecordedParameter>& parameters) {
    double n = 0;
    for (const RecordedParameter& p : parameters) {
        n += static_cast<double>(p.dIn + p.dOut);
    }
    return n;
}

/// The same in a dump, where a shared input stands once.
double storedNumbersPerToken(const std::vector<RecordedParameter>& parameters) {
    double n = 0;
    for (const RecordedParameter& p : parameters) {
        n += static_cast<double>(p.dOut + (p.sharesInput ? 0 : p.dIn));
    }
    return n;
}

/// While the dump is written: some samples of one parameter, and its Fisher.
double writingBytes(const CollectPlan& plan, const CollectRequest& request) {
    double largest = 0, all = 0, summed = 0;
    double longest = 0; // of all samples of a task
    for (const PlannedTask& task : plan.tasks) {
        longest = std::max(longest, double(task.samples.size()) *
                                        (request.factored ? double(task.longest) : 1.0));
    }
    for (std::size_t first = 0; first < plan.parameters.size();) {
        const std::size_t count = request.factored ? plan.sameInput(first) : 1;
        double weights = 0, numbers = 0;
        for (std::size_t i = first; i < first + count; ++i) {
            const RecordedParameter& p = plan.parameters[i];
            const double weight = double(p.dIn) * double(p.dOut);
            weights += weight;
            largest = std::max(largest, weight);
            numbers += request.factored ? double(p.dIn + p.dOut) : weight;
        }
        // Unfinished work is mapped, and given back when what shares an input is written.
        all = std::max(all, longest * numbers);
        summed = std::max(summed, weights);
        first += count;
    }
    const bool fisher = request.structuralFisher || request.behavioralFisher;
    const double numbers =
        std::min(all, std::max(double(numbersWrittenAtOnce), request.factored ? 0 : largest));
    return dtypeSize(request.storage) * all + 2 * sizeof(float) * numbers +
           (fisher ? sizeof(double) * (summed + 2 * largest) : 0);
}

} // namespace

double recordedWeights(const std::vector<RecordedParameter>& parameters, bool biases) {
    double n = 0;
    for (const RecordedParameter& p : parameters) {
        n += static_cast<double>(p.dIn) * static_cast<double>(p.dOut);
        n += biases && !p.bias.empty() ? static_cast<double>(p.dOut) : 0;
    }
    return n;
}

/// A batch as stored, before it is written.
double payloadBytes(const CollectPlan& plan, const CollectRequest& request, double batch,
                    double tokens) {
    const double stored = dtypeSize(request.storage);
    return batch * stored *
           (request.factored ? tokens * recordedNumbersPerToken(plan.parameters)
                             : recordedWeights(plan.parameters, true));
}

void planTasks(CollectPlan& plan, const CollectRequest& request, SampleRules rules,
               const Footprint& footprint, const std::function<Cutting()>& cuttingFor) {
    if (request.maxTokens > 0 && (rules.maxTokens == 0 || request.maxTokens < rules.maxTokens)) {
        rules.maxTokens = request.maxTokens;
    }
    rules.maxSamples = request.maxSamples;
    rules.tokenize = sampleTokenizer(plan.directory);
    const double stored = dtypeSize(request.storage);
    const double perToken = storedNumbersPerToken(plan.parameters);
    const double perTokenBefore = recordedNumbersPerToken(plan.parameters);
    const double weights = recordedWeights(plan.parameters, true);
    for (const TaskFile& file : request.tasks) {
        PlannedTask task;
        task.name = file.name;
        task.samples = readSamples(file.file, rules);
        double tokens = 0, scoreTokens = 0;
        for (const Sample& s : task.samples) {
            const auto length = static_cast<std::int64_t>(s.ids.size());
            task.longest = std::max(task.longest, length);
            task.truncated += s.truncated;
            task.predicted += s.predicted;
            tokens += double(length);
            scoreTokens += double(length) * double(length);
        }
        if (task.truncated > 0) {
            plan.warnings.push_back("task " + task.name + ": " + std::to_string(task.truncated) +
                                    " of " + std::to_string(task.samples.size()) +
                                    " samples were cut to " + std::to_string(rules.maxTokens) +
                                    " tokens");
        }
        const auto n = double(task.samples.size());
        plan.diskBytes += request.factored ? n * double(task.longest) * perToken * stored
                                           : n * recordedWeights(plan.parameters, false) * stored;
        plan.unfinishedBytes += request.factored
                                    ? tokens * perTokenBefore * stored
                                    : n * recordedWeights(plan.parameters, false) * stored;
        const double biases =
            n * 4 * (weights - recordedWeights(plan.parameters, false)); // as float32
        plan.diskBytes += biases;
        plan.unfinishedBytes += biases;
        if (request.structuralFisher && !request.fisherPerHead) {
            plan.diskBytes += 4 * weights;
        }
        if (plan.checkpoint) {
            const double attention = 4 * double(plan.spec.layers) *
                                     double(plan.spec.heads * plan.spec.headDim) * scoreTokens;
            // Forward, and the same again backward: only hidden states have gradients.
            plan.flops += 2 * (2 * plan.spec.macsPerToken() * tokens + attention);
            plan.flops += 2 * recordedWeights(plan.parameters, false) * tokens; // Σ_t g ⊗ x
        } else {
            // Two operations per weight and token forward, four backward.
            plan.flops += 6 * tokens * plan.weightBytes / (request.computeDouble ? 8 : 4);
        }
        plan.tasks.push_back(std::move(task));
    }
    const Cutting cutting = cuttingFor();
    double largest = 0, largestStored = 0;
    std::size_t batches = 0;
    for (PlannedTask& task : plan.tasks) {
        task.batches = planBatches(task.samples, cutting.fits);
        batches += task.batches.size();
        for (const auto& batch : task.batches) {
            const auto length = double(task.samples[batch.front()].ids.size());
            const auto size = double(batch.size());
            largest = std::max(largest, footprint.running(size, length));
            largestStored = std::max(largestStored, footprint.stored(size, length));
        }
    }
    if (cutting.gpuBytes >= 0) {
        plan.peakBytes = plan.weightBytes + plan.storeBytes + largest;
        if (largest > cutting.gpuBytes) {
            throw InputError("needs about " + formatBytes(plan.peakBytes) +
                                 " of the GPU's memory for its longest sample, there is room for " +
                                 formatBytes(cutting.gpuBytes + plan.weightBytes),
                             request.model, {},
                             request.deviceBudget > 0
                                 ? "raise --memory-budget or lower --max-tokens"
                                 : "lower --max-tokens, or use --device cpu");
        }
        return;
    }
    const auto budget = static_cast<double>(request.memoryBudget);
    const int workers = cutting.workers;
    const double fixed = programBytes + plan.weightBytes;
    const double room = (budget - fixed - 2 * largestStored) / largest;
    const double most = std::min({double(workers), double(batches), std::floor(room)});
    // Where less than half the threads would have a batch, all of them share one at a time.
    plan.workers = most >= 0.5 * double(workers) ? std::max(1, static_cast<int>(most)) : 1;
    plan.peakBytes = std::max({fixed + plan.workers * largest + 2 * largestStored,
                               programBytes + footprint.loading, programBytes + footprint.types,
                               programBytes + writingBytes(plan, request)});
    if (plan.peakBytes > budget) {
        throw InputError("needs about " + formatBytes(plan.peakBytes) +
                             " of memory for its longest sample, " + formatBytes(programBytes) +
                             " of it for the program and Torch; the budget is " +
                             formatBytes(budget),
                         request.model, {}, "raise --memory-budget or lower --max-tokens");
    }
}

} // namespace qkov::collect
