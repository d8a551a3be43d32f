// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/PlanTasks.h"

#include "base/Error.h"
#include "base/RawFile.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <map>

namespace qkov::collect {

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
    if (!isThere(configFile)) {
        throw InputError("is missing", configFile, {},
                         "write num_hidden_layers, num_attention_heads, hidden_size and vocab_size "
                         "into it");
    }
    plan.shape = model::shapeFromConfig(readText(configFile, largestText), configFile);
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
