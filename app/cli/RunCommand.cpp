// SPDX-License-Identifier: GPL-3.0-or-later
#include "CollectOptions.h"
#include "ScoreOptions.h"
#include "ScoreText.h"

#include "base/Error.h"
#include "collect/Capture.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    CollectOptions collect;
    ScoreOptions score;
    std::string out;
    std::size_t top = 100;
};

void run(const Session& session, const Options& o) {
    engine::ScoreRequest request = o.score.request(session);
    collect::CollectRequest collecting = o.collect.request(session);
    for (const std::string& task : {o.score.taskA, o.score.taskB}) {
        if (std::none_of(collecting.tasks.begin(), collecting.tasks.end(),
                         [&](const collect::TaskFile& t) { return t.name == task; })) {
            throw UsageError("no --task is called '" + task + "'");
        }
    }
    // Otherwise the Fisher is that of all samples, though only the first are scored.
    collecting.maxSamples = o.score.limitsSamples() ? request.maxSamples : 0;
    // What a dump would store is made as it is asked for, not as dumps have it by default.
    collecting.emaDecay = request.emaDecay;
    collecting.estimator = request.estimator == engine::Estimator::mean ? fisher::Estimator::mean
                                                                        : fisher::Estimator::ema;
    const bool needsTypes = request.mode && *request.mode != engine::Mode::structural;
    if (collecting.resume && o.out.empty()) {
        throw UsageError("--resume keeps its work beside the results; name them with --out");
    }
    collecting.headTypes = collecting.headTypes || collecting.behavioralFisher || needsTypes;
    if (o.collect.dryRun()) {
        const collect::CollectEstimate estimate = collect::estimate(collecting);
        session.print(describeEstimate(estimate));
        session.writeJson(estimateJson(estimate));
        return;
    }
    std::vector<std::filesystem::path> outputs;
    if (!o.out.empty()) {
        outputs.emplace_back(o.out);
        collecting.out = o.out;
    }
    session.checkOutputs(outputs, o.collect.inputs());

    const auto start = std::chrono::steady_clock::now();
    Job job = session.job();
    Job capturing = partOf(job, 0, 0.8);
    Job computing = partOf(job, 0.8, o.out.empty() ? 1 : 0.95);
    collect::CollectSummary summary;
    const auto source = collect::capture(collecting, capturing, &summary);
    request = o.score.request(session, source->info());
    const auto scoring = std::chrono::steady_clock::now();
    const auto scores = engine::compute(*source, request, computing);
    requireScores(*scores, source->file());
    const auto scored = std::chrono::steady_clock::now();
    if (!o.out.empty()) {
        Job writing = partOf(job, 0.95, 1);
        results::writeResults(o.out, *scores, writing);
    }
    job.finish();
    session.clearProgress();
    session.logNotes(summary.warnings, {});
    session.logNotes(scores->header().notes, scores->header().missing);
    session.print(describeTasks(summary) + "\n" + describeScores(*scores, 5));
    if (!o.out.empty()) {
        session.log("wrote " + o.out);
    }
    if (session.wantsJson()) {
        nlohmann::json json = results::toJson(*scores, o.top);
        json["tasks"] = tasksJson(summary);
        const std::chrono::duration<double> all = std::chrono::steady_clock::now() - start;
        json["timing"]["load_s"] = summary.loadSeconds;
        json["timing"]["capture_s"] = summary.seconds - summary.loadSeconds;
        json["timing"]["score_s"] = std::chrono::duration<double>(scored - scoring).count();
        json["timing"]["after_load_s"] = all.count() - summary.loadSeconds;
        session.writeJson(json);
    }
}

} // namespace

void addRun(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command =
        addCommand(app, session, "run", "From a model to results in one pass, no dump in between",
                   [&session, o] { run(session, *o); });
    o->collect.add(command, CollectOptions::For::run);
    command->add_option("--out", o->out, "Results file to write")->type_name("FILE");
    command->add_option("--top", o->top, "Top conflicts per block in the JSON")
        ->check(CLI::Range(0, 100'000'000))
        ->type_name("N")
        ->capture_default_str();
    o->score.add(command);
}

} // namespace qkov::cli
