// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"
#include "ScoreText.h"

#include "base/Error.h"
#include "engine/Compute.h"
#include "engine/GradientSource.h"
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
    bool pooled = false;
    bool explain = false;
};

void explain(const Session& session, const dump::DumpReader& reader,
             const engine::ScoreRequest& request) {
    const engine::Explanation e = engine::explain(*engine::makeDumpSource(reader), request);
    session.print(e.text + (e.text.empty() || e.text.back() != '\n' ? "\n" : ""));
    session.writeJson({{"device", e.device},
                       {"slices", e.slices},
                       {"parameters", e.parameters},
                       {"read_bytes", e.readBytes},
                       {"flops", e.flops},
                       {"peak_bytes", e.peakBytes},
                       {"tile_bytes", e.tileBytes},
                       {"result_bytes", e.resultBytes},
                       {"seconds", e.seconds}});
}

void compute(const Session& session, const Options& o) {
    if (o.pooled && o.out.empty()) {
        throw UsageError("--pooled goes into a results file; name one with --out");
    }
    // Options are judged before anything is read.
    (void)o.score.request(session);
    std::vector<std::filesystem::path> outputs;
    if (!o.out.empty()) {
        outputs.emplace_back(o.out);
    }
    session.checkOutputs(outputs, {o.dump});
    const dump::DumpReader reader = o.score.open(session, o.dump);
    const engine::ScoreRequest request = o.score.request(session, reader);
    if (o.explain) {
        return explain(session, reader, request);
    }
    Job job = session.job();
    const double written = o.out.empty() ? 1 : 0.95;
    const double scored = o.pooled ? written / 2 : written;
    Job scoring = partOf(job, 0, scored);
    const auto scores = engine::compute(reader, request, scoring);
    requireScores(*scores, o.dump);
    std::shared_ptr<const engine::Scores> pooled;
    if (o.pooled) {
        Job pooling = partOf(job, scored, written);
        pooled = engine::computePooled(*engine::makeDumpSource(reader), request, pooling);
    }
    if (!o.out.empty()) {
        Job writing = partOf(job, written, 1);
        results::writeResults(o.out, *scores, writing, pooled.get());
    }
    job.finish();
    session.clearProgress();
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
    o->score.addDump(command, o->dump);
    command->add_option("--out", o->out, "Results file to write")->type_name("FILE");
    command->add_option("--top", o->top, "Top conflicts per block in the JSON")
        ->check(CLI::Range(0, 100'000'000))
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--pooled", o->pooled,
                      "Also all ordered pairs of both tasks, which the tests need");
    command->add_flag("--explain", o->explain, "Only tell what would be read and needed");
    o->score.add(command);
}

} // namespace qkov::cli
