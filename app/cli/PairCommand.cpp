// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "engine/Compute.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    ScoreOptions score;
    std::string dump;
    std::string sampleI;
    std::string sampleJ;
    std::int64_t layer = 0;
    std::int64_t head = 0;
};

nlohmann::json number(double v) {
    return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(nullptr);
}

nlohmann::json toJson(const engine::PairResult& pair, const Options& o) {
    nlohmann::json scores = nlohmann::json::object();
    nlohmann::json diagnostics = nlohmann::json::object();
    for (const Block block : allBlocks) {
        const std::string key(1, blockName(block));
        const engine::PairBlock& b = pair.blocks[blockIndex(block)];
        if (!pair.present[blockIndex(block)]) {
            scores[key] = nullptr;
            continue;
        }
        scores[key] = number(b.score);
        diagnostics[key] = {{"parameters", b.parameters},
                            {"norm_i", number(b.normI)},
                            {"norm_j", number(b.normJ)},
                            {"cosine", number(b.cosine)},
                            {"sign_agreement", number(b.signAgreement)},
                            {"top_share", number(b.topShare)},
                            {"fisher",
                             {{"min", number(b.fisher.min)},
                              {"median", number(b.fisher.median)},
                              {"max", number(b.fisher.max)},
                              {"share_below", number(b.fisher.shareBelow)},
                              {"lambda", number(b.fisher.lambda)}}}};
    }
    return {{"scores", std::move(scores)},
            {"diagnostics", std::move(diagnostics)},
            {"sample_i", o.sampleI},
            {"sample_j", o.sampleJ},
            {"layer", o.layer},
            {"head", o.head},
            {"config", engine::toJson(pair.request)},
            {"notes", pair.notes}};
}

std::string describe(const engine::PairResult& pair, const Options& o) {
    std::vector<std::vector<std::string>> rows{
        {"block", "score", "‖g_i‖", "‖g_j‖", "cosine", "same sign", "top 1% carry"}};
    for (const Block block : allBlocks) {
        const engine::PairBlock& b = pair.blocks[blockIndex(block)];
        const auto& asked = pair.request.blocks;
        if (!asked.empty() && std::find(asked.begin(), asked.end(), block) == asked.end()) {
            continue;
        }
        if (!pair.present[blockIndex(block)]) {
            rows.push_back({std::string(1, blockName(block)), "missing"});
            continue;
        }
        rows.push_back({std::string(1, blockName(block)), formatNumber(b.score),
                        formatNumber(b.normI), formatNumber(b.normJ), formatNumber(b.cosine),
                        formatNumber(b.signAgreement), formatNumber(b.topShare)});
    }
    return o.sampleI + " (" + o.score.taskA + ") × " + o.sampleJ + " (" + o.score.taskB + ") · L" +
           std::to_string(o.layer) + " H" + std::to_string(o.head) + "\n" +
           table(rows, {false, true, true, true, true, true, true});
}

void pair(const Session& session, const Options& o) {
    (void)o.score.request(session);
    session.checkOutputs({}, {o.dump});
    const dump::DumpReader reader = o.score.open(session, o.dump);
    Job job = session.job();
    const engine::PairResult result =
        engine::scorePair(reader, o.score.request(session, reader), o.sampleI, o.sampleJ,
                          LayerIndex(o.layer), HeadIndex(o.head), job);
    session.clearProgress();
    if (std::none_of(result.present.begin(), result.present.end(), [](bool p) { return p; })) {
        throw InputError("nothing of this pair can be computed" +
                             (result.notes.empty() ? std::string() : ": " + result.notes.back()),
                         o.dump);
    }
    session.logNotes(result.notes, {});
    session.print(describe(result, o));
    session.writeJson(toJson(result, o));
}

} // namespace

void addPair(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command =
        addCommand(app, session, "pair", "One pair in one head, with what is behind it",
                   [&session, o] { pair(session, *o); });
    o->score.addDump(command, o->dump);
    command->add_option("--sample-i", o->sampleI, "Id of task A's sample")
        ->type_name("ID")
        ->required();
    command->add_option("--sample-j", o->sampleJ, "Id of task B's sample")
        ->type_name("ID")
        ->required();
    command->add_option("--layer", o->layer, "Layer, from 0")->type_name("L")->required();
    command->add_option("--head", o->head, "Query head, from 0")->type_name("H")->required();
    o->score.add(command);
    ScoreOptions::addUnusedTop(command);
}

} // namespace qkov::cli
