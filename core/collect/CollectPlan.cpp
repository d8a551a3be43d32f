// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectPlan.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "base/Threads.h"
#include "collect/Hash.h"
#include "collect/SampleTokenizer.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <sys/stat.h>

namespace qkov::collect {
namespace {

// A CPU batch is cut so that half a layer, the time between two looks at the cancel flag, stays
// well below 200 ms on one core; several batches run side by side.
constexpr double flopsPerPoll = 4e9;
// More makes products no faster, but the arrays between them leave the caches.
constexpr std::int64_t cpuBatchTokens = 512;
// Padding allowed in a batch: the shortest sample has at least this share of the longest's tokens.
constexpr double shortestShare = 0.8;
constexpr std::int64_t freePadding = 8;
// What the allocator and the arrays between two recorded ones add.
constexpr double memorySlack = 1.3;

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
                         std::int64_t in, bool wantBias) {
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
        p.inOut = linear.inOut;
        p.dIn = in;
        p.dOut = out;
        result.push_back(std::move(p));
    };
    for (std::int64_t l = 0; l < s.layers; ++l) {
        add(s.qkv, l, q + 2 * kv, s.hidden, biases);
        add(s.q, l, q, s.hidden, biases);
        add(s.k, l, kv, s.hidden, biases);
        add(s.v, l, kv, s.hidden, biases);
        add(s.o, l, s.hidden, q, false); // the O bias belongs to no head
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

double recordedWeights(const std::vector<RecordedParameter>& parameters, bool biases) {
    double n = 0;
    for (const RecordedParameter& p : parameters) {
        n += static_cast<double>(p.dIn) * static_cast<double>(p.dOut);
        n += biases && !p.bias.empty() ? static_cast<double>(p.dOut) : 0;
    }
    return n;
}

} // namespace

int CollectPlan::operationThreads(const CollectRequest& request) const {
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    return workers > 1 ? 1 : threads;
}

double activationNumbers(const DecoderSpec& s, double batch, double tokens) {
    const auto D = static_cast<double>(s.hidden);
    const auto H = static_cast<double>(s.heads);
    const double q = H * static_cast<double>(s.headDim);
    const auto qkv = static_cast<double>(s.qkvRows());
    const double mlp = (s.mlp == MlpKind::plain ? 2 : 4) * static_cast<double>(s.mlpDim);
    const double rotary = s.positions == PositionKind::rotary ? 4 * qkv : 0;
    const double scores = (s.attentionSoftcap > 0 ? 5 : 3.5) * H * tokens;
    // Kept for the backward pass, and the recorded output gradients.
    const double perToken =
        static_cast<double>(s.layers) * (8 * D + 3 * qkv + rotary + 3 * q + scores + mlp) +
        static_cast<double>(s.layers) * (qkv + D);
    return batch * tokens * perToken;
}

std::vector<std::vector<std::size_t>>
planBatches(const std::vector<Sample>& samples,
            const std::function<bool(std::int64_t, std::int64_t)>& fits) {
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    const auto length = [&](std::size_t i) {
        return static_cast<std::int64_t>(samples[i].ids.size());
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
    // Longest first: what doesn't fit shows at once, and a batch's T is its first sample's.
    std::vector<std::vector<std::size_t>> batches;
    for (const std::size_t i : order) {
        bool fresh = batches.empty();
        if (!fresh) {
            const std::int64_t tokens = length(batches.back().front());
            const auto size = static_cast<std::int64_t>(batches.back().size());
            const auto shortest = static_cast<std::int64_t>(shortestShare * double(tokens));
            fresh = length(i) < std::min(shortest, tokens - freePadding) || !fits(size + 1, tokens);
        }
        if (fresh) {
            batches.emplace_back();
        }
        batches.back().push_back(i);
    }
    return batches;
}

namespace {

/// Bytes of a batch of B samples padded to T tokens.
using BatchBytes = std::function<double(double batch, double tokens)>;

/// Reads the task files and cuts them into batches.
/// @param workers how many batches may run at the same time, if memory allows
void planTasks(CollectPlan& plan, const CollectRequest& request, SampleRules rules,
               const BatchBytes& batchBytes, int workers,
               const std::function<bool(std::int64_t, std::int64_t)>& fits) {
    if (request.maxTokens > 0 && (rules.maxTokens == 0 || request.maxTokens < rules.maxTokens)) {
        rules.maxTokens = request.maxTokens;
    }
    rules.maxSamples = request.maxSamples;
    rules.tokenize = sampleTokenizer(plan.directory);
    const double stored = dtypeSize(request.storage);
    const double perToken = recordedNumbersPerToken(plan.parameters);
    const double weights = recordedWeights(plan.parameters, true);
    double largest = 0;
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
        task.batches = planBatches(task.samples, fits);
        for (const auto& batch : task.batches) {
            const auto length = double(task.samples[batch.front()].ids.size());
            largest = std::max(largest, batchBytes(double(batch.size()), length));
        }
        const auto n = double(task.samples.size());
        plan.diskBytes += request.factored ? n * double(task.longest) * perToken * stored
                                           : n * recordedWeights(plan.parameters, false) * stored;
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
    const auto budget = static_cast<double>(request.memoryBudget);
    std::size_t batches = 0;
    for (const PlannedTask& task : plan.tasks) {
        batches += task.batches.size();
    }
    const double room = (budget - plan.weightBytes) / largest;
    const double most = std::min({double(workers), double(batches), std::floor(room)});
    // Where less than half the threads would have a batch, all of them share one at a time.
    plan.workers = most >= 0.5 * double(workers) ? std::max(1, static_cast<int>(most)) : 1;
    plan.peakBytes = plan.weightBytes + plan.workers * largest;
    if (plan.peakBytes > budget) {
        throw InputError("needs about " + formatBytes(plan.peakBytes) +
                             " of memory for its longest sample, the budget is " +
                             formatBytes(budget),
                         request.model, {}, "raise --memory-budget or lower --max-tokens");
    }
}

} // namespace

CollectPlan planCollect(const CollectRequest& request, bool cuda) {
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
    plan.parameters = recordedParameters(plan.spec, *plan.checkpoint, request.biasGradients);

    SampleRules rules;
    rules.vocabulary = plan.spec.vocabulary;
    rules.maxTokens = plan.spec.maxPositions;
    const double number = request.computeDouble ? 8 : 4;
    plan.weightBytes = static_cast<double>(plan.checkpoint->parameterCount()) * number;
    const double stored = dtypeSize(request.storage);
    const double perToken = recordedNumbersPerToken(plan.parameters);
    const double weights = recordedWeights(plan.parameters, true);
    const BatchBytes batchBytes = [&](double batch, double tokens) {
        // The spooled copy of one batch is written while the next one runs.
        const double spooled = request.factored ? 2 * stored * batch * tokens * perToken
                                                : 2 * stored * batch * weights;
        const double logits =
            std::min(double(logitsAtOnce(cuda)), batch * tokens * double(plan.spec.vocabulary));
        return memorySlack * number * activationNumbers(plan.spec, batch, tokens) +
               4 * number * logits + spooled;
    };
    const auto budget = static_cast<double>(request.memoryBudget);
    const double perLayer = plan.spec.macsPerToken() / static_cast<double>(plan.spec.layers);
    const int threads = request.threads > 0 ? request.threads : defaultThreadCount();
    planTasks(plan, request, rules, batchBytes, cuda ? 1 : threads,
              [&](std::int64_t batch, std::int64_t tokens) {
                  const double all = double(batch) * double(tokens);
                  return plan.weightBytes + batchBytes(double(batch), double(tokens)) <= budget &&
                         (cuda || (2 * perLayer * all <= flopsPerPoll && all <= cpuBatchTokens));
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
    planTasks(
        plan, request, rules, [gradients](double, double) { return gradients; }, 1,
        [](std::int64_t batch, std::int64_t) { return batch <= 1; });
    plan.warnings.push_back("a module's own working memory is not in the estimate");
    return plan;
}

std::string planFingerprint(const CollectRequest& request, const CollectPlan& plan) {
    Hash hash;
    hash.add(plan.shape.configJson);
    hash.add(plan.shape.layoutJson);
    std::set<std::filesystem::path> files;
    if (plan.checkpoint) {
        for (const auto& [name, entry] : plan.checkpoint->tensors()) {
            hash.add(name);
            files.insert(entry.file);
        }
    } else {
        files.insert(request.model);
    }
    for (const auto& file : files) {
        struct stat info {};
        ::stat(file.c_str(), &info);
        hash.add(file.string());
        hash.add(static_cast<std::int64_t>(info.st_size));
        hash.add(static_cast<std::int64_t>(info.st_mtim.tv_sec));
        hash.add(static_cast<std::int64_t>(info.st_mtim.tv_nsec));
    }
    for (const std::int64_t v : {std::int64_t(request.factored), std::int64_t(request.storage),
                                 std::int64_t(request.computeDouble), std::int64_t(request.loss),
                                 std::int64_t(request.biasGradients)}) {
        hash.add(v);
    }
    for (const PlannedTask& task : plan.tasks) {
        hash.add(task.name);
        for (const Sample& s : task.samples) {
            hash.add(s.id);
            hash.add(s.ids.data(), s.ids.size() * sizeof(s.ids[0]));
            hash.add(s.labels.data(), s.labels.size() * sizeof(s.labels[0]));
        }
        for (const auto& batch : task.batches) {
            hash.add(batch.data(), batch.size() * sizeof(batch[0]));
        }
    }
    return hash.text();
}

} // namespace qkov::collect
