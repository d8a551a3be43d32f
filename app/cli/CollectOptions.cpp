// SPDX-License-Identifier: GPL-3.0-or-later
#include "CollectOptions.h"

#include "base/Error.h"
#include "base/Numbers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace qkov::cli {
namespace {

collect::TaskFile taskFile(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
        throw UsageError("--task '" + text + "' must be written NAME=FILE.jsonl");
    }
    return {text.substr(0, equals), text.substr(equals + 1)};
}

} // namespace

void CollectOptions::add(CLI::App* command, For what) {
    m_what = what;
    command->add_option("--model", m_model, "Model folder, or a TorchScript .pt with --layout")
        ->type_name("DIR")
        ->required();
    command->add_option("--task", m_tasks, "A task and its samples, JSON Lines; repeatable")
        ->type_name("NAME=FILE")
        ->type_size(1)
        ->allow_extra_args(false)
        ->required();
    const char* const group = "Collecting";
    const auto choice = [&](const char* name, std::string& value, const char* help,
                            const std::set<std::string>& choices, const char* type) {
        command->add_option(name, value, help)
            ->check(CLI::IsMember(choices))
            ->type_name(type)
            ->capture_default_str()
            ->group(group);
    };
    choice("--storage", m_storage, "Gradients as factors (small, exact) or dense",
           {"factors", "dense"}, "factors|dense");
    choice("--dtype", m_dtype, "Numbers as stored", {"f16", "f32"}, "f16|f32");
    choice("--compute-dtype", m_computeDtype, "Numbers of the forward and backward pass",
           {"f32", "f64"}, "f32|f64");
    choice("--loss", m_loss, "A sample's loss over its tokens", {"mean", "sum"}, "mean|sum");
    const CLI::Range counts(std::int64_t(1), std::int64_t(1) << 31);
    command->add_option("--max-tokens", m_maxTokens, "Per sample; the model's own limit if unset")
        ->check(counts)
        ->type_name("N")
        ->group(group);
    command->add_flag("--head-types", m_headTypes, "Score heads and name their types")
        ->group(group);
    command->add_option("--probe", m_probe, "Sequences that head types are told from")
        ->type_name("FILE")
        ->group(group);
    command->add_flag("--no-bias", m_noBias, "Leave out gradients of biases")->group(group);
    command->add_option("--layout", m_layout, "Layout file of an unknown architecture")
        ->type_name("FILE")
        ->group(group);
    command->add_flag("--dry-run", m_dryRun, "Only tell memory, disk and time")->group(group);
    command
        ->add_flag("--resume", m_resume,
                   what == For::run ? "Keep finished batches beside --out, and go on from them"
                                    : "Go on where an interrupted run stopped")
        ->group(group);
    command
        ->add_option("--fisher", m_fisher,
                     what == For::run ? "Fisher sets to make; behavioral needs head types"
                                      : "Fisher sets to store; behavioral needs head types")
        ->delimiter(',')
        ->check(CLI::IsMember({"structural", "behavioral"}))
        ->type_name("structural,behavioral")
        ->type_size(1)
        ->allow_extra_args(false)
        ->capture_default_str()
        ->group(group);
    if (what == For::run) {
        return;
    }
    command->add_option("--max-samples", m_maxSamples, "Per task; all if unset")
        ->check(counts)
        ->type_name("N")
        ->group(group);
    command->add_option("--ema-decay", m_emaDecay, "Of the Fisher's moving average")
        ->check(numberBetween(0, 0.999999))
        ->type_name("X")
        ->capture_default_str()
        ->group(group);
    choice("--fisher-estimator", m_estimator, "How the Fisher is estimated",
           {"ema", "mean", "oneshot"}, "ema|mean|oneshot");
    choice("--fisher-resolution", m_resolution, "Structural Fisher per element, or per head",
           {"element", "head"}, "element|head");
}

collect::CollectRequest CollectOptions::request(const Session& session) const {
    collect::CollectRequest r;
    r.model = m_model;
    std::set<std::string> names;
    for (const std::string& text : m_tasks) {
        r.tasks.push_back(taskFile(text));
        if (!names.insert(r.tasks.back().name).second) {
            throw UsageError("the task '" + r.tasks.back().name + "' is named twice");
        }
    }
    r.factored = m_storage == "factors";
    r.storage = m_dtype == "f16" ? DType::f16 : DType::f32;
    r.computeDouble = m_computeDtype == "f64";
    r.loss = m_loss == "mean" ? collect::LossReduction::mean : collect::LossReduction::sum;
    r.emaDecay = m_emaDecay;
    const auto wants = [this](const char* set) {
        return std::find(m_fisher.begin(), m_fisher.end(), set) != m_fisher.end();
    };
    r.structuralFisher = wants("structural");
    r.behavioralFisher = wants("behavioral");
    r.estimator = m_estimator == "ema"    ? fisher::Estimator::ema
                  : m_estimator == "mean" ? fisher::Estimator::mean
                                          : fisher::Estimator::oneshot;
    r.fisherPerHead = m_resolution == "head";
    r.headTypes = m_headTypes;
    r.probe = m_probe;
    r.biasGradients = !m_noBias;
    r.layout = m_layout;
    r.resume = m_resume;
    r.maxSamples = m_maxSamples;
    r.maxTokens = m_maxTokens;
    // What is free changes, and a collection that is continued must plan the same batches.
    r.memoryBudget = session.modelMemoryBytes(m_what == For::run);
    r.deviceBudget = session.limitsMemory() ? session.memoryBytes() : 0;
    r.threads = session.threads;
    r.device = session.device;
    return r;
}

std::vector<std::filesystem::path> CollectOptions::inputs() const {
    std::vector<std::filesystem::path> files;
    for (const std::string& text : m_tasks) {
        files.push_back(taskFile(text).file);
    }
    const std::filesystem::path model(m_model);
    files.push_back(model);
    if (!m_layout.empty()) {
        files.emplace_back(m_layout);
    }
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(model, ignored)) {
        files.push_back(entry.path());
    }
    return files;
}

std::string describeEstimate(const collect::CollectEstimate& e) {
    return table({{"samples", formatCount(e.samples)},
                  {"longest", formatCount(e.longestTokens) + " tokens"},
                  {"memory", "about " + formatBytes(e.memoryBytes)},
                  {"disk", "about " + formatBytes(e.diskBytes) + ", " +
                               formatBytes(e.peakDiskBytes) + " while writing"},
                  {"time", "about " + formatDuration(e.seconds)}},
                 {});
}

std::string describeTasks(const collect::CollectSummary& summary) {
    std::vector<std::vector<std::string>> rows{
        {"task", "samples", "predicted tokens", "mean loss", "truncated"}};
    for (const auto& t : summary.tasks) {
        rows.push_back({t.name, formatCount(t.samples), formatCount(t.predictedTokens),
                        formatNumber(t.meanLoss), formatCount(t.truncated)});
    }
    return table(rows, {false, true, true, true, true});
}

nlohmann::json tasksJson(const collect::CollectSummary& summary) {
    nlohmann::json tasks = nlohmann::json::array();
    for (const auto& t : summary.tasks) {
        tasks.push_back({{"name", t.name},
                         {"samples", t.samples},
                         {"predicted_tokens", t.predictedTokens},
                         {"mean_loss", t.meanLoss},
                         {"truncated", t.truncated}});
    }
    return tasks;
}

nlohmann::json estimateJson(const collect::CollectEstimate& e) {
    return {{"samples", e.samples},
            {"longest_tokens", e.longestTokens},
            {"memory_bytes", e.memoryBytes},
            {"disk_bytes", e.diskBytes},
            {"peak_disk_bytes", e.peakDiskBytes},
            {"seconds", e.seconds}};
}

} // namespace qkov::cli
