// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"
#include "ScoreText.h"

#include "engine/Compute.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    ScoreOptions score;
    std::string dump;
    std::string out;
    std::size_t top = 100;
};

void compute(const Session& session, const Options& o) {
    // Options are judged before anything is read.
    (void)o.score.request(session);
    std::vector<std::filesystem::path> outputs;
    if (!o.out.empty()) {
        outputs.emplace_back(o.out);
    }
    session.checkOutputs(outputs, {o.dump});
    const dump::DumpReader reader(o.dump);
    Job job = session.job();
    const auto scores = engine::compute(reader, o.score.request(session, reader.info()), job);
    session.clearProgress();
    if (!o.out.empty()) {
        Job writing = session.job();
        results::writeResults(o.out, *scores, writing);
    }
    session.logNotes(scores->header().notes, scores->header().missing);
    session.print(describeScores(*scores, o.out.empty() ? 10 : 5));
    if (!o.out.empty()) {
        session.log("wrote " + o.out);
    }
    if (session.wantsJson()) {
        session.writeJson(results::toJson(*scores, o.top));
    }
}

} // namespace

void addCompute(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command =
        addCommand(app, session, "compute", "The interference of every sample pair of two tasks",
                   [&session, o] { compute(session, *o); });
    command->add_option("DUMP", o->dump, "A dump")->required();
    command->add_option("--out", o->out, "Results file to write")->type_name("FILE");
    command->add_option("--top", o->top, "Top conflicts per block in the JSON")
        ->check(CLI::Range(0, 100'000'000))
        ->type_name("N")
        ->capture_default_str();
    o->score.add(command);
}

} // namespace qkov::cli
