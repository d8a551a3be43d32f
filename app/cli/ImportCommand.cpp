// SPDX-License-Identifier: GPL-3.0-or-later
#include "Session.h"

#include "base/Error.h"
#include "dump/Import.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    std::vector<std::string> tasks;
    std::vector<std::string> samples;
    std::string config;
    std::string layout;
    std::string lossReduction = "mean";
    std::string out;
};

/// "NAME=PATH". @throws UsageError
std::pair<std::string, std::string> named(const std::string& option, const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
        throw UsageError(option + " '" + text + "' must be written NAME=PATH");
    }
    return {text.substr(0, equals), text.substr(equals + 1)};
}

void import(const Session& session, const Options& o) {
    dump::ImportRequest request;
    for (const std::string& text : o.tasks) {
        const auto [name, path] = named("--task", text);
        request.tasks.push_back({name, path, {}});
    }
    for (const std::string& text : o.samples) {
        const auto [name, path] = named("--samples", text);
        bool known = false;
        for (dump::ImportTask& task : request.tasks) {
            if (task.name == name) {
                task.samples = path;
                known = true;
            }
        }
        if (!known) {
            throw UsageError("--samples names the task '" + name + "', which no --task has");
        }
    }
    request.config = o.config;
    request.layout = o.layout;
    request.lossReduction = o.lossReduction;
    request.out = o.out;
    session.checkOutputs({o.out}, dump::importedFiles(request));
    Job job = session.job();
    const dump::ImportSummary summary = dump::importStores(request, job);
    session.clearProgress();
    session.logNotes(summary.warnings, {});
    nlohmann::json tasks = nlohmann::json::array();
    std::vector<std::vector<std::string>> rows{{"task", "store", "samples", "matrices"}};
    for (const auto& t : summary.tasks) {
        rows.push_back({t.name, t.kind, std::to_string(t.samples), std::to_string(t.parameters)});
        tasks.push_back({{"name", t.name},
                         {"kind", t.kind},
                         {"samples", t.samples},
                         {"parameters", t.parameters}});
    }
    session.print(table(rows, {false, false, true, true}));
    session.writeJson(
        {{"path", o.out}, {"tasks", std::move(tasks)}, {"warnings", summary.warnings}});
    session.log("wrote " + o.out);
}

} // namespace

void addImport(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command =
        addCommand(app, session, "import", "A dump from bergson gradient stores or LogIX logs",
                   [&session, o] { import(session, *o); });
    command->add_option("--task", o->tasks, "A task and its store; repeatable")
        ->type_name("NAME=FOLDER")
        ->type_size(1)
        ->allow_extra_args(false)
        ->required();
    command->add_option("--samples", o->samples, "A task's ids and texts, JSON Lines; repeatable")
        ->type_name("NAME=FILE")
        ->type_size(1)
        ->allow_extra_args(false);
    command->add_option("--config", o->config, "The model's config.json or its folder")
        ->type_name("PATH")
        ->required();
    command->add_option("--layout", o->layout, "Layout file of an unknown architecture")
        ->type_name("FILE");
    command->add_option("--loss", o->lossReduction, "The store's loss over a sample's tokens")
        ->check(CLI::IsMember({"mean", "sum"}))
        ->type_name("mean|sum")
        ->capture_default_str();
    command->add_option("--out", o->out, "Dump to write")->type_name("DUMP")->required();
}

} // namespace qkov::cli
