// SPDX-License-Identifier: GPL-3.0-or-later
#include "InfoText.h"
#include "ScoreText.h"
#include "Session.h"

#include "base/Numbers.h"
#include "dump/DumpReader.h"
#include "model/Checkpoint.h"
#include "model/ModelConfig.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"
#include "text/Tokenizer.h"

#include <nlohmann/json.hpp>
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
    listMissing(session, missing);
    session.writeJson({{"kind", "model"},
                       {"path", o.file},
                       {"model", modelJson(c.shape())},
                       {"parameters", c.parameterCount()},
                       {"bytes", c.bytes()},
                       {"dtypes", dtypes},
                       {"tensors", c.tensors().size()},
                       {"attention_parameters", parametersJson(c.layout())},
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
    command->add_option("FILE", o->file, "A model folder, dump or results file")->required();
    command->add_option("--layout", o->layout, "Layout file of an unknown architecture")
        ->type_name("FILE");
}

} // namespace qkov::cli
