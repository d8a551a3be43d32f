// SPDX-License-Identifier: GPL-3.0-or-later
#include "results/RequestJson.h"

#include "base/Error.h"

#include <nlohmann/json.hpp>

namespace qkov::results {
namespace {

using nlohmann::json;

/// Null counts as absent: options that were left to the program are stored so.
const json* find(const json& config, const char* key) {
    const auto it = config.find(key);
    return it == config.end() || it->is_null() ? nullptr : &*it;
}

template <class T>
void take(const json& config, const char* key, T& value) {
    const json* v = find(config, key);
    if (!v) {
        return;
    }
    try {
        value = v->get<T>();
    } catch (const json::exception&) {
        throw UsageError(std::string(key) + " has a value of the wrong kind");
    }
}

template <class Parse, class T>
void takeParsed(const json& config, const char* key, Parse parse, T& value) {
    std::string text;
    take(config, key, text);
    if (!text.empty()) {
        value = parse(text);
    }
}

} // namespace

engine::ScoreRequest requestFromJson(const json& config) {
    if (!config.is_object()) {
        throw UsageError("the configuration is not an object");
    }
    engine::ScoreRequest r;
    take(config, "task_a", r.taskA);
    take(config, "task_b", r.taskB);
    takeParsed(config, "mode", engine::parseMode, r.mode);
    takeParsed(config, "variant", engine::parseVariant, r.variant);
    takeParsed(config, "fisher_task", engine::parseFisherTask, r.fisherTask);
    takeParsed(config, "fisher_estimator", engine::parseEstimator, r.estimator);
    take(config, "ema_decay", r.emaDecay);
    take(config, "epsilon", r.regularization.epsilon);
    take(config, "ridge", r.regularization.ridge);
    take(config, "ridge_rel", r.regularization.ridgeRelative);
    takeParsed(config, "aggregate", engine::parseAggregate, r.aggregate);
    takeParsed(config, "grad_scale", engine::parseGradScale, r.gradScale);
    take(config, "include_bias", r.includeBias);
    takeParsed(config, "nonfinite", engine::parseNonFinite, r.nonFinite);
    takeParsed(config, "precision", engine::parsePrecision, r.precision);
    take(config, "layers", r.layers);
    take(config, "heads", r.heads);
    takeParsed(config, "blocks", engine::parseBlocks, r.blocks);
    take(config, "samples_a", r.samplesA);
    take(config, "samples_b", r.samplesB);
    take(config, "max_samples", r.maxSamples);
    take(config, "device", r.device);
    take(config, "threads", r.threads);
    take(config, "memory_budget", r.memoryBudget);
    return r;
}

} // namespace qkov::results
