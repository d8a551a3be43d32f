// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectPlan.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "base/Threads.h"
#include "collect/CheckpointNotes.h"
#include "collect/HeadTypes.h"
#include "collect/MemoryPlan.h"
#include "collect/SampleTokenizer.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

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

double recordedWeights(const std::vector<RecordedParameter>& parameters, bool biases) {
    double n = 0;
    for (const RecordedParameter& p : parameters) {
        n += static_cast<double>(p.dIn) * static_cast<double>(p.dOut);
        n += biases && !p.bias.empty() ? static_cast<double>(p.dOut) : 0;
    }
    return n;
}

} // namespace

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

/// A batch as stored, before it is written.
double payloadBytes(const CollectPlan& plan, const CollectRequest& request, double batch,
                    double tokens) {
    const double stored = dtypeSize(request.storage);
    return batch * stored *
           (request.factored ? tokens * recordedNumbersPerToken(plan.parameters)
                             : recordedWeights(plan.parameters, true));
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

/// Reads the task files and cuts them into batches. @param cuttingFor called once all are read
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

} // namespace

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

bool isScript(const CollectRequest& request) {
    return request.model.extension() == ".pt" && std::filesystem::is_regular_file(request.model);
}

CollectPlan planScript(const CollectRequest& request,
                       const std::vector<ScriptParameter>& parameters) {
    checkRequest(request);
    if (request.layout.empty()) {
        throw UsageError("a TorchScript module needs a layout file (--layout)");
    }
    if (request.factored) {
        throw UsageError("gradients of a TorchScript module are stored dense (--storage dense)");
    }
    if (request.headTypes || request.behavioralFisher) {
        throw UsageError("a TorchScript module shows no attention weights, so its heads have no "
                         "types");
    }
    CollectPlan plan;
    plan.directory = std::filesystem::absolute(request.model).parent_path();
    const auto configFile = plan.directory / "config.json";
    std::ifstream in(configFile, std::ios::binary);
    if (!in) {
        throw InputError("is missing", configFile, {},
                         "write num_hidden_layers, num_attention_heads, hidden_size and vocab_size "
                         "into it");
    }
    std::stringstream text;
    text << in.rdbuf();
    plan.shape = model::shapeFromConfig(text.str(), configFile);
    plan.shape.layoutJson = model::readLayoutFile(request.layout);
    std::vector<std::string> names;
    std::map<std::string, std::vector<std::int64_t>> shapes;
    double numbers = 0;
    for (const ScriptParameter& p : parameters) {
        names.push_back(p.name);
        shapes[p.name] = p.shape;
        double n = 1;
        for (const std::int64_t d : p.shape) {
            n *= double(d);
        }
        numbers += n;
    }
    plan.layout.emplace(plan.shape, names);
    for (const model::ParameterInfo& info : plan.layout->parameters()) {
        const auto& shape = shapes.at(info.name);
        plan.layout->checkShape(info.name, shape, request.model.string());
        RecordedParameter p;
        p.name = info.name;
        p.layer = info.layer.value;
        p.inOut = info.inOut;
        p.dIn = info.inOut ? shape[0] : shape[1];
        p.dOut = info.inOut ? shape[1] : shape[0];
        if (request.biasGradients && !info.bias.empty() && info.blocks.front() != Block::O) {
            plan.layout->checkShape(info.bias, shapes.at(info.bias), request.model.string());
            p.bias = info.bias;
        }
        plan.parameters.push_back(std::move(p));
    }
    if (plan.parameters.empty()) {
        std::string some;
        for (std::size_t i = 0; i < std::min<std::size_t>(5, names.size()); ++i) {
            some += (i ? ", " : "") + names[i];
        }
        throw InputError("matches none of the module's parameters (" + some + ", …)",
                         request.layout);
    }
    SampleRules rules;
    const std::int64_t vocabulary = model::configInteger(plan.shape, "vocab_size");
    rules.vocabulary = vocabulary > 0 ? vocabulary : INT32_MAX;
    for (const char* key : {"max_position_embeddings", "n_positions"}) {
        rules.maxTokens = std::max(rules.maxTokens, model::configInteger(plan.shape, key));
    }
    // The weights and the gradients of what is recorded; what the module keeps besides is unknown.
    const double number = request.computeDouble ? 8 : 4;
    plan.weightBytes = numbers * number;
    const double gradients = 2 * number * recordedWeights(plan.parameters, true);
    Footprint footprint;
    footprint.loading = 2 * plan.weightBytes;
    footprint.running = [gradients](double, double) { return gradients; };
    footprint.stored = [&](double batch, double tokens) {
        return payloadBytes(plan, request, batch, tokens);
    };
    planTasks(plan, request, rules, footprint, [] {
        return Cutting{1, -1, [](std::int64_t batch, std::int64_t) { return batch <= 1; }};
    });
    plan.warnings.push_back("a module's own working memory is not in the estimate");
    return plan;
}

} // namespace qkov::collect
