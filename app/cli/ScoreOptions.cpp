// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace qkov::cli {
namespace {

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t at = 0;
    while (at <= text.size()) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        parts.push_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return parts;
}

std::vector<std::string> resolveIds(const std::vector<std::string>& given,
                                    const dump::TaskInfo* task) {
    std::vector<std::string> ids;
    for (const std::string& text : given) {
        if (task && task->sampleIndex(text) >= 0) {
            ids.push_back(text);
        } else {
            const auto parts = split(text);
            ids.insert(ids.end(), parts.begin(), parts.end());
        }
    }
    return ids;
}

bool serves(const dump::FisherSet& set, const engine::ScoreRequest& r) {
    return set.estimator == "ema" && (!r.estimator || *r.estimator == engine::Estimator::ema);
}

/// The decay of the moving averages that are stored and will be used as they are; none where some
/// Fisher has to be computed.
std::optional<double> storedDecay(const dump::DumpInfo& info, const engine::ScoreRequest& r) {
    std::optional<double> decay;
    for (const auto& [name, asked] : {std::pair{r.taskA, r.fisherTask != engine::FisherTask::b},
                                      std::pair{r.taskB, r.fisherTask != engine::FisherTask::a}}) {
        const dump::TaskInfo* task = asked ? info.task(name) : nullptr;
        if (!asked) {
            continue;
        }
        if (!task || !task->fisher.contains("structural")) {
            return {};
        }
        for (const auto& [setName, set] : task->fisher) {
            if (!serves(set, r) || (decay && *decay != set.decay)) {
                return {};
            }
            decay = set.decay;
        }
        const dump::FisherSet& structural = task->fisher.at("structural");
        for (const auto& [parameter, entry] : task->parameters) {
            const bool counts = entry.shape.size() > 1 || r.includeBias;
            if (counts && !structural.parameters.contains(parameter)) {
                return {};
            }
        }
    }
    return decay;
}

/// @throws InputError not one cell that is asked for has numbers in both tasks
void checkAnything(const dump::DumpReader& dump, const engine::ScoreRequest& r) {
    const dump::DumpInfo& info = dump.info();
    const dump::TaskInfo* const tasks[] = {info.task(r.taskA), info.task(r.taskB)};
    for (const dump::TaskInfo* task : tasks) {
        if (!task) {
            return; // said where it is looked up
        }
        if (task->parameters.empty()) {
            throw InputError("holds no gradients", dump.file(), "/tasks/" + task->name,
                             "collect them again");
        }
    }
    const auto asked = [](const auto& list, auto value) {
        return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
    };
    for (const model::ParameterInfo& p : dump.layout().parameters()) {
        const bool wanted = asked(r.layers, p.layer.value) &&
                            std::any_of(p.blocks.begin(), p.blocks.end(),
                                        [&](Block block) { return asked(r.blocks, block); });
        if (wanted && tasks[0]->parameters.contains(p.name) &&
            tasks[1]->parameters.contains(p.name)) {
            return;
        }
    }
    // A layer that the model doesn't have is said where layers are looked up.
    const auto known = [&](std::int64_t layer) {
        return layer >= 0 && layer < info.model.numLayers;
    };
    if (std::all_of(r.layers.begin(), r.layers.end(), known)) {
        throw InputError("tasks " + r.taskA + " and " + r.taskB +
                             " have no gradients of a common parameter among those asked for",
                         dump.file(), "/tasks", "qkov info tells what is there");
    }
}

} // namespace

void ScoreOptions::add(CLI::App* command) {
    command->add_option("--task-a", taskA, "The task that gives the contributions")
        ->type_name("NAME")
        ->required();
    command->add_option("--task-b", taskB, "The task that gives the gradients")
        ->type_name("NAME")
        ->required();

    const char* const metric = "Metric";
    const auto text = [&](const char* name, std::string& value, const char* help,
                          const char* choices) {
        return command->add_option(name, value, help)->type_name(choices)->group(metric);
    };
    text("--mode", m_mode,
         "How the Fisher normalizes; unset: behavioral where the dump can, else structural",
         "behavioral|structural|hybrid");
    text("--variant", m_variant, "What is summed over a head's parameters",
         "magnitude|signed|symmetric|natural|cosine|profile")
        ->capture_default_str();
    text("--fisher-task", m_fisherTask, "Whose Fisher", "a|b|pooled")->capture_default_str();
    text("--fisher-estimator", m_estimator,
         "How it is estimated; unset: as stored in the dump, else ema", "ema|mean");
    m_decayOption =
        command->add_option("--ema-decay", m_emaDecay, "Of ema, where it is computed here")
            ->check(numberBetween(0, 0.999999))
            ->type_name("X")
            ->capture_default_str()
            ->group(metric);
    text("--regularization", m_regularization, "Constants; the three below override them",
         "default|original")
        ->capture_default_str();
    const auto positive = numberBetween(0, std::numeric_limits<double>::max());
    command->add_option("--epsilon", m_epsilon, "Floor of the Fisher [1e-30]")
        ->check(positive)
        ->type_name("X")
        ->group(metric);
    command->add_option("--ridge", m_ridge, "Added to the Fisher [0]")
        ->check(positive)
        ->type_name("X")
        ->group(metric);
    command->add_option("--ridge-rel", m_ridgeRelative, "Added, times the slice's mean [1e-3]")
        ->check(positive)
        ->type_name("X")
        ->group(metric);
    text("--aggregate", m_aggregate, "Sum or mean over a head's parameters", "sum|mean")
        ->capture_default_str();
    text("--grad-scale", m_gradScale, "Divide gradients by their number of tokens",
         "none|per_token")
        ->capture_default_str();
    command->add_flag("--include-bias", m_includeBias, "Count q, k and v biases too")
        ->group(metric);
    text("--nonfinite", m_nonFinite, "Samples with NaN or Inf: an error, or left out", "error|skip")
        ->capture_default_str();
    text("--precision", m_precision, "fast allows 16-bit products", "fp32|fast")
        ->capture_default_str();

    const char* const selection = "Selection";
    const auto select = [&](const char* name, std::string& value, const char* help,
                            const char* type) {
        command->add_option(name, value, help)->type_name(type)->group(selection);
    };
    select("--layers", m_layers, "Layers, all if unset", "0-3,5");
    select("--heads", m_heads, "Query heads, all if unset", "0-3,5");
    select("--blocks", m_blocks, "Blocks, all if unset", "QKVO");
    const auto samples = [&](const char* name, std::vector<std::string>& value, const char* help) {
        command->add_option(name, value, help)
            ->type_name("IDS")
            ->type_size(1)
            ->allow_extra_args(false)
            ->group(selection);
    };
    samples("--samples-a", m_samplesA, "Samples of task A by id, separated by commas; repeatable");
    samples("--samples-b", m_samplesB, "Samples of task B");
    m_maxOption =
        command->add_option("--max-samples", m_maxSamples, "Per task, the first in dump order")
            ->check(CLI::Range(std::int64_t(1), std::int64_t(1) << 31))
            ->type_name("N")
            ->capture_default_str()
            ->group(selection);
}

void ScoreOptions::addDump(CLI::App* command, std::string& dump) {
    command->add_option("DUMP", dump, "A dump")->required();
    command
        ->add_option("--layout", m_layout,
                     "Layout file, for a dump of an unknown architecture that carries none")
        ->type_name("FILE");
}

dump::DumpReader ScoreOptions::open(const Session& session, const std::string& dump) const {
    const Job opening = session.job();
    return dump::DumpReader(
        dump, m_layout.empty() ? std::string() : model::readLayoutFile(m_layout), &opening);
}

void ScoreOptions::addUnusedTop(CLI::App* command) {
    command
        ->add_option_function<std::int64_t>(
            "--top", [](std::int64_t) {}, "As for compute; nothing is listed here")
        ->check(CLI::Range(std::int64_t(0), std::int64_t(100'000'000)))
        ->type_name("N")
        ->group("Selection");
}

engine::ScoreRequest ScoreOptions::request(const Session& session) const {
    engine::ScoreRequest r;
    r.taskA = taskA;
    r.taskB = taskB;
    if (!m_mode.empty()) {
        r.mode = engine::parseMode(m_mode);
    }
    r.variant = engine::parseVariant(m_variant);
    r.fisherTask = engine::parseFisherTask(m_fisherTask);
    if (!m_estimator.empty()) {
        r.estimator = engine::parseEstimator(m_estimator);
    }
    r.emaDecay = m_emaDecay;
    if (m_regularization == "original") {
        r.regularization = engine::Regularization::original();
    } else if (m_regularization != "default") {
        throw UsageError("unknown regularization \"" + m_regularization +
                         "\"; choose one of default, original");
    }
    const auto given = [](double v, double& target) {
        if (v >= 0) {
            target = v;
        }
    };
    given(m_epsilon, r.regularization.epsilon);
    given(m_ridge, r.regularization.ridge);
    given(m_ridgeRelative, r.regularization.ridgeRelative);
    r.aggregate = engine::parseAggregate(m_aggregate);
    r.gradScale = engine::parseGradScale(m_gradScale);
    r.includeBias = m_includeBias;
    r.nonFinite = engine::parseNonFinite(m_nonFinite);
    r.precision = engine::parsePrecision(m_precision);
    if (!m_layers.empty()) {
        r.layers = engine::parseRanges(m_layers);
    }
    if (!m_heads.empty()) {
        r.heads = engine::parseRanges(m_heads);
    }
    if (!m_blocks.empty()) {
        r.blocks = engine::parseBlocks(m_blocks);
    }
    r.maxSamples = m_maxSamples;
    r.samplesA = resolveIds(m_samplesA, nullptr);
    r.samplesB = resolveIds(m_samplesB, nullptr);
    r.device = session.device;
    r.threads = session.threads;
    r.memoryBudget = session.memoryBytes();
    return r;
}

engine::ScoreRequest ScoreOptions::request(const Session& session,
                                           const dump::DumpInfo& info) const {
    engine::ScoreRequest r = request(session);
    r.samplesA = resolveIds(m_samplesA, info.task(taskA));
    r.samplesB = resolveIds(m_samplesB, info.task(taskB));
    if (const auto decay = storedDecay(info, r)) {
        if (m_decayOption && m_decayOption->count() > 0 && *decay != r.emaDecay) {
            session.log("note: The stored Fisher is used, whose decay is " + formatNumber(*decay) +
                        "; --ema-decay is for one that is computed.");
        }
        r.emaDecay = *decay;
    }
    return r;
}

engine::ScoreRequest ScoreOptions::request(const Session& session,
                                           const dump::DumpReader& dump) const {
    engine::ScoreRequest r = request(session, dump.info());
    checkAnything(dump, r);
    return r;
}

} // namespace qkov::cli
