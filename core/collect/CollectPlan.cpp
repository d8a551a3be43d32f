// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectPlan.h"

#include "base/Error.h"
#include "base/Threads.h"
#include "collect/CheckpointNotes.h"
#include "collect/HeadTypes.h"
#include "collect/MemoryPlan.h"
#include "collect/PlanTasks.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <set>

namespace qkov::collect {
namespace {

// A CPU batch is cut so that half a layer, the time between two looks at the cancel flag, stays
// well below 200 ms on one core; several batches run side by side.
constexpr double flopsPerPoll = 4e9;
// More makes products no faster, but the arrays between them leave the caches.
constexpr std::int64_t cpuBatchTokens = 512;
// The same for a GPU, which has work of several layers waiting when a cancel comes.
constexpr double flopsPerPollGpu = 2.5e12;
// Where batches travel to the host, the last one does so while the next one runs.
constexpr std::int64_t gpuBatchTokens = 8192;
// Shares of a GPU's memory: of what is free, for a run; of all, where batches must be the same when
// the run is continued another day.
constexpr double shareOfFree = 0.92;
constexpr double shareOfAll = 0.6;
constexpr double gpuReserve = 1e9; ///< libraries' own

std::string forLayer(const std::string& pattern, std::int64_t layer) {
    const auto at = pattern.find("{l}");
    return at == std::string::npos
               ? pattern
               : pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 3);
}

std::vector<RecordedParameter>
recordedParameters(const DecoderSpec& s, const model::Checkpoint& checkpoint, bool biases) {
    std::vector<RecordedParameter> result;
    const std::int64_t q = s.heads * s.headDim, kv = s.kvHeads * s.headDim;
    const auto add = [&](const LinearSpec& linear, std::int64_t layer, std::int64_t out,
                         std::int64_t in, bool wantBias, bool sharesInput) {
        if (!linear) {
            return;
        }
        RecordedParameter p;
        const std::string base = forLayer(linear.name, layer);
        p.name = checkpoint.require(base + ".weight").name;
        if (wantBias && linear.bias) {
            p.bias = checkpoint.require(base + ".bias").name;
        }
        p.layer = layer;
        p.sharesInput = sharesInput;
        p.inOut = linear.inOut;
        p.dIn = in;
        p.dOut = out;
        result.push_back(std::move(p));
    };
    for (std::int64_t l = 0; l < s.layers; ++l) {
        add(s.qkv, l, q + 2 * kv, s.hidden, biases, false);
        add(s.q, l, q, s.hidden, biases, false);
        add(s.k, l, kv, s.hidden, biases, true);
        add(s.v, l, kv, s.hidden, biases, true);
        add(s.o, l, s.hidden, q, false, false); // the O bias belongs to no head
    }
    return result;
}

} // namespace

void checkRequest(const CollectRequest& r) {
    if (r.tasks.empty()) {
        throw UsageError("no task is given (--task NAME=FILE.jsonl)");
    }
    std::set<std::string> names;
    for (const TaskFile& t : r.tasks) {
        if (t.name.empty() || t.name == "." || t.name == ".." ||
            t.name.find('/') != std::string::npos) {
            throw UsageError("'" + t.name + "' can't be a task's name");
        }
        if (!names.insert(t.name).second) {
            throw UsageError("task '" + t.name + "' is given twice");
        }
    }
    if (r.storage != DType::f16 && r.storage != DType::f32) {
        throw UsageError("gradients are stored as f16 or f32");
    }
    if (r.maxSamples < 0 || r.maxTokens < 0 || r.maxTokens == 1) {
        throw UsageError("--max-samples must be positive, and --max-tokens at least 2");
    }
    if (r.memoryBudget <= 0) {
        throw UsageError("the memory budget must be positive");
    }
    if (r.estimator == fisher::Estimator::ema) {
        fisher::sampleWeights(r.estimator, r.emaDecay, 0);
    }
    if (r.device != "auto" && r.device != "cpu" && r.device != "cuda" &&
        !r.device.starts_with("cuda:")) {
        throw UsageError("unknown device '" + r.device + "'; use auto, cpu or cuda[:n]");
    }
}

std::size_t CollectPlan::sameInput(std::size_t first) const {
    std::size_t count = 1;
    while (first + count < parameters.size() && parameters[first + count].sharesInput) {
        ++count;
    }
    return count;
}

int CollectPlan::operationThreads(const CollectRequest& request) const {
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    return workers > 1 ? 1 : threads;
}

namespace {

/// Bytes of the weights where the model runs.
double weightBytes(const CollectPlan& plan, const CollectRequest& request,
                   const PlanDevice& device) {
    const double number = request.computeDouble ? 8 : 4;
    if (!device.halfWeights || request.computeDouble) {
        return static_cast<double>(plan.checkpoint->parameterCount()) * number;
    }
    double sum = 0;
    double largest = 0; // is there twice while it is loaded
    for (const auto& [name, entry] : plan.checkpoint->tensors()) {
        const auto bytes = static_cast<double>(entry.bytes);
        sum += bytes;
        largest = std::max(largest, bytes);
    }
    return sum + 2 * largest;
}

/// Cutting for a GPU, and whether all factors stay in its memory.
Cutting gpuCutting(CollectPlan& plan, const CollectRequest& request, const PlanDevice& device,
                   const Footprint& footprint) {
    Cutting cutting;
    double room =
        (device.keep ? shareOfFree * device.available - gpuReserve : shareOfAll * device.total) -
        plan.weightBytes;
    if (request.deviceBudget > 0) {
        room = std::min(room, double(request.deviceBudget));
    }
    room = std::max(0.0, room);
    if (device.keep && request.factored) {
        double factors = 0;
        double least = 0;
        for (const PlannedTask& task : plan.tasks) {
            for (const Sample& s : task.samples) {
                factors += footprint.stored(1, double(s.ids.size()));
            }
            least = std::max(least, footprint.running(1, double(task.longest)));
        }
        if (factors + least <= room) {
            plan.storeBytes = factors;
            room -= factors;
        }
    }
    cutting.gpuBytes = room;
    const double perLayer = plan.spec.macsPerToken() / static_cast<double>(plan.spec.layers);
    const std::int64_t most = plan.storeBytes > 0 ? INT64_MAX : gpuBatchTokens;
    cutting.fits = [&footprint, room, perLayer, most](std::int64_t batch, std::int64_t tokens) {
        return batch * tokens <= most && footprint.running(double(batch), double(tokens)) <= room &&
               2 * perLayer * double(batch) * double(tokens) <= flopsPerPollGpu;
    };
    return cutting;
}

} // namespace

CollectPlan planCollect(const CollectRequest& request, const PlanDevice& device) {
    checkRequest(request);
    const std::string layout =
        request.layout.empty() ? std::string() : model::readLayoutFile(request.layout);
    CollectPlan plan;
    plan.checkpoint = model::Checkpoint::open(request.model, layout);
    plan.shape = plan.checkpoint->shape();
    plan.layout = plan.checkpoint->layout();
    plan.directory = plan.checkpoint->directory();
    std::vector<std::string> names;
    for (const auto& [name, entry] : plan.checkpoint->tensors()) {
        names.push_back(name);
    }
    plan.spec = decoderSpec(plan.shape, plan.directory / "config.json", names);
    plan.warnings = checkpointNotes(plan.spec, *plan.checkpoint);
    plan.parameters = recordedParameters(plan.spec, *plan.checkpoint, request.biasGradients);

    SampleRules rules;
    rules.vocabulary = plan.spec.vocabulary;
    rules.maxTokens = plan.spec.maxPositions;
    plan.weightBytes = weightBytes(plan, request, device);
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    double largestTensor = 0;
    for (const auto& [name, entry] : plan.checkpoint->tensors()) {
        largestTensor = std::max(largestTensor, double(entry.bytes));
    }
    Footprint footprint;
    footprint.loading = plan.weightBytes + largestTensor;
    if (request.headTypes || request.behavioralFisher) {
        footprint.types = plan.weightBytes + headTypeBytes(plan.spec, request, threads);
    }
    footprint.stored = [&](double batch, double tokens) {
        return payloadBytes(plan, request, batch, tokens);
    };
    footprint.running = [&](double batch, double tokens) {
        return batchBytes(plan.spec, request, device.cuda, batch, tokens,
                          payloadBytes(plan, request, batch, tokens));
    };
    if (request.headTypes || request.behavioralFisher) {
        const ProbeOptions probe;
        plan.flops += 2 * plan.spec.macsPerToken() * double(probe.sequences * 2 * probe.half);
    }
    const double room = double(request.memoryBudget) - programBytes - plan.weightBytes;
    const double perLayer = plan.spec.macsPerToken() / static_cast<double>(plan.spec.layers);
    planTasks(plan, request, rules, footprint, [&] {
        if (device.cuda && device.total > 0) {
            return gpuCutting(plan, request, device, footprint);
        }
        return Cutting{device.cuda ? 1 : threads, -1, [&](std::int64_t batch, std::int64_t tokens) {
                           const double all = double(batch) * double(tokens);
                           return footprint.alone(double(batch), double(tokens)) <= room &&
                                  (device.cuda || (2 * perLayer * all <= flopsPerPoll &&
                                                   all <= double(cpuBatchTokens)));
                       }};
    });
    return plan;
}

} // namespace qkov::collect
