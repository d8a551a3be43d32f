// SPDX-License-Identifier: GPL-3.0-or-later
#include "InfoText.h"
#include "ScoreText.h"
#include "Session.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "base/RawFile.h"
#include "collect/CheckpointNotes.h"
#include "collect/Collect.h"
#include "dump/DumpReader.h"
#include "model/Checkpoint.h"
#include "model/ModelConfig.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"
#include "text/Tokenizer.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace qkov::cli {
namespace {

using nlohmann::json;

struct Options {
    std::string file;
    std::string layout;
};

std::string join(const std::vector<std::string>& parts, const std::string& between) {
    std::string text;
    for (const std::string& p : parts) {
        text += (text.empty() ? "" : between) + p;
    }
    return text;
}

void listMissing(const Session& session, const std::vector<std::string>& missing) {
    if (missing.empty()) {
        session.print("\nNothing is missing.\n");
        return;
    }
    session.print("\nMissing\n");
    for (const std::string& m : missing) {
        session.print("  " + m + "\n");
    }
}

/// What the model leaves unused of its files, and why it can't be run if it can't.
std::vector<std::string> notesOn(const model::Checkpoint& c) {
    try {
        return collect::checkpointNotes(c);
    } catch (const InputError& e) {
        return {"gradients can't be collected from it: " + std::string(e.what())};
    }
}

void printNotes(const Session& session, const std::vector<std::string>& notes) {
    for (const std::string& note : notes) {
        session.print("note: " + note + "\n");
    }
}

void infoOfModel(const Session& session, const Options& o) {
    const std::string layout = o.layout.empty() ? std::string() : model::readLayoutFile(o.layout);
    const model::Checkpoint c = model::Checkpoint::open(o.file, layout);
    auto missing = missingOfLayout(c.layout());
    if (!text::Tokenizer::hasFiles(o.file)) {
        missing.emplace_back("a tokenizer, so samples must come with input_ids");
    }
    std::set<std::string> types;
    for (const auto& [name, tensor] : c.tensors()) {
        types.emplace(dtypeName(tensor.dtype));
    }
    const std::vector<std::string> dtypes(types.begin(), types.end());
    session.print(
        describeModel(c.shape()) +
        table(
            {{"parameters", formatCount(c.parameterCount())},
             {"weights", formatBytes(static_cast<double>(c.bytes())) + " as " + join(dtypes, ", ")},
             {"tensors", std::to_string(c.tensors().size())},
             {"attention", std::to_string(c.layout().parameters().size()) + " matrices"}},
            {}));
    const auto notes = notesOn(c);
    printNotes(session, notes);
    listMissing(session, missing);
    session.writeJson({{"kind", "model"},
                       {"path", o.file},
                       {"model", modelJson(c.shape())},
                       {"parameters", c.parameterCount()},
                       {"bytes", c.bytes()},
                       {"dtypes", dtypes},
                       {"tensors", c.tensors().size()},
                       {"attention_parameters", parametersJson(c.layout())},
                       {"missing", missing},
                       {"notes", notes}});
}

/// The config.json beside a module, if there is one.
std::optional<model::ModelShape> shapeBeside(const std::filesystem::path& module) {
    const auto config = std::filesystem::absolute(module).parent_path() / "config.json";
    if (!isThere(config)) {
        return std::nullopt;
    }
    return model::shapeFromConfig(readText(config, largestText), config);
}

void infoOfModule(const Session& session, const Options& o, const std::filesystem::path& file) {
    const auto shapes = collect::scriptParameters(file);
    std::vector<std::string> names;
    std::int64_t numbers = 0;
    json parameters = json::array();
    for (const auto& [name, shape] : shapes) {
        std::int64_t n = 1;
        for (const std::int64_t d : shape) {
            n *= d;
        }
        numbers += n;
        names.push_back(name);
        parameters.push_back({{"name", name}, {"shape", shape}});
    }
    auto shape = shapeBeside(file);
    std::optional<model::HeadLayout> layout;
    std::vector<std::string> missing;
    if (!shape) {
        missing.emplace_back("config.json beside the module (num_hidden_layers, "
                             "num_attention_heads, hidden_size, vocab_size)");
    }
    if (o.layout.empty()) {
        missing.emplace_back("a layout file (--layout): a module doesn't say where its heads are");
    } else if (shape) {
        shape->layoutJson = model::readLayoutFile(o.layout);
        layout.emplace(*shape, names);
        for (const model::ParameterInfo& p : layout->parameters()) {
            layout->checkShape(p.name, shapes.at(p.name), file.string());
        }
        const auto blocks = missingOfLayout(*layout);
        missing.insert(missing.end(), blocks.begin(), blocks.end());
    }
    if (!text::Tokenizer::hasFiles(std::filesystem::absolute(file).parent_path())) {
        missing.emplace_back("a tokenizer, so samples must come with input_ids");
    }
    std::vector<std::vector<std::string>> rows{{"file", "TorchScript module"},
                                               {"parameters", formatCount(numbers)},
                                               {"tensors", std::to_string(shapes.size())}};
    if (layout) {
        rows.push_back({"attention", std::to_string(layout->parameters().size()) + " matrices"});
    }
    session.print((shape ? describeModel(*shape) : std::string()) + table(rows, {}));
    if (!layout) {
        session.print("\nParameters\n");
        constexpr std::size_t most = 20;
        for (std::size_t i = 0; i < std::min(most, names.size()); ++i) {
            std::string dims;
            for (const std::int64_t d : shapes.at(names[i])) {
                dims += (dims.empty() ? "" : ", ") + std::to_string(d);
            }
            session.print("  " + names[i] + " [" + dims + "]\n");
        }
        if (names.size() > most) {
            session.print("  and " + std::to_string(names.size() - most) + " more\n");
        }
    }
    listMissing(session, missing);
    session.writeJson({{"kind", "module"},
                       {"path", file.string()},
                       {"model", shape ? modelJson(*shape) : json(nullptr)},
                       {"parameters", numbers},
                       {"tensors", std::move(parameters)},
                       {"attention_parameters", layout ? parametersJson(*layout) : json(nullptr)},
                       {"missing", missing}});
}

void infoOfDump(const Session& session, const Options& o) {
    const Job opening = session.job();
    const dump::DumpReader reader(
        o.file, o.layout.empty() ? std::string() : model::readLayoutFile(o.layout), &opening);
    const dump::DumpInfo& info = reader.info();
    const auto missing = missingOfDump(info, reader.layout());
    session.print(describeModel(info.model));
    std::vector<std::vector<std::string>> rows{
        {"task", "samples", "loss", "stored as", "parameters", "Fisher"}};
    json tasks = json::array();
    for (const dump::TaskInfo& t : info.tasks) {
        tasks.push_back(taskJson(t));
        rows.push_back({t.name, std::to_string(t.samples.size()), t.lossReduction, storageText(t),
                        std::to_string(t.parameters.size()), fisherText(t)});
    }
    session.print("\n" + table(rows, {false, true, false, false, true, false}));
    const std::string types = describeHeadTypes(info.headTypes);
    if (!types.empty()) {
        session.print("\nHead types: " + types + "\n");
    }
    session.print("\n" + formatBytes(static_cast<double>(info.fileBytes)) + " · written by " +
                  info.createdBy + " · " + info.createdAt + "\n");
    listMissing(session, missing);
    session.writeJson({{"kind", "dump"},
                       {"path", o.file},
                       {"model", modelJson(info.model)},
                       {"created_by", info.createdBy},
                       {"created_at", info.createdAt},
                       {"bytes", info.fileBytes},
                       {"fingerprint", info.fingerprint},
                       {"tasks", std::move(tasks)},
                       {"head_types", headTypesJson(info.headTypes, info.model)},
                       {"missing", missing}});
}

void infoOfResults(const Session& session, const Options& o) {
    const auto scores = results::openResults(o.file);
    const engine::ScoreHeader& h = scores->header();
    session.print(describeScores(*scores, 0));
    session.print("\n" + h.dumpName + " · written by " + h.createdBy + " · " + h.createdAt + "\n");
    for (const std::string& note : h.notes) {
        session.print("note: " + note + "\n");
    }
    std::vector<std::string> missing = h.missing;
    if (!scores->complete()) {
        missing.emplace_back("layers that a cancelled computation did not reach");
    }
    listMissing(session, missing);
    const results::Overview overview = results::overview(*scores);
    json blocks = json::array();
    for (const Block b : allBlocks) {
        if (h.blocks[blockIndex(b)]) {
            blocks.push_back(std::string(1, blockName(b)));
        }
    }
    session.writeJson(
        {{"kind", "results"},
         {"path", o.file},
         {"model", modelJson(h.model)},
         {"created_by", h.createdBy},
         {"created_at", h.createdAt},
         {"dump_name", h.dumpName},
         {"dump_fingerprint", h.dumpFingerprint},
         {"task_a", h.taskA},
         {"task_b", h.taskB},
         {"config", engine::toJson(h.request)},
         {"layers", h.layers},
         {"heads", h.heads},
         {"n_a", h.nA()},
         {"n_b", h.nB()},
         {"blocks", std::move(blocks)},
         {"complete", scores->complete()},
         {"most_conflicted_block", overview.mostConflicted
                                       ? json(std::string(1, blockName(*overview.mostConflicted)))
                                       : json(nullptr)},
         {"max_interference", overview.peak ? json(overview.maxInterference) : json(nullptr)},
         {"missing", missing},
         {"notes", h.notes}});
}

void info(const Session& session, const Options& o) {
    session.checkOutputs({}, {o.file});
    if (const auto module = collect::scriptOf(o.file); !module.empty()) {
        return infoOfModule(session, o, module);
    }
    switch (dump::detectFileKind(o.file)) {
    case dump::FileKind::modelDirectory:
        return infoOfModel(session, o);
    case dump::FileKind::dump:
        return infoOfDump(session, o);
    case dump::FileKind::results:
        return infoOfResults(session, o);
    }
}

} // namespace

void addInfo(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command = addCommand(
        app, session, "info", "What a model folder, dump or results file holds, and what it lacks",
        [&session, o] { info(session, *o); });
    command->add_option("FILE", o->file, "A model folder, TorchScript module, dump or results file")
        ->required();
    command->add_option("--layout", o->layout, "Layout file of an unknown architecture")
        ->type_name("FILE");
}

} // namespace qkov::cli
