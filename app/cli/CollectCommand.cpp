// SPDX-License-Identifier: GPL-3.0-or-later
#include "CollectOptions.h"

#include "base/Numbers.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    CollectOptions collect;
    std::string out;
};

void collectDump(const Session& session, const Options& o) {
    collect::CollectRequest request = o.collect.request(session);
    request.out = o.out;
    session.checkOutputs(o.collect.dryRun() ? std::vector<std::filesystem::path>()
                                            : std::vector<std::filesystem::path>{o.out},
                         o.collect.inputs());
    if (o.collect.dryRun()) {
        const collect::CollectEstimate estimate = collect::estimate(request);
        session.print(describeEstimate(estimate));
        session.writeJson(estimateJson(estimate));
        return;
    }
    Job job = session.job();
    const collect::CollectSummary summary = collect::collect(request, job);
    session.clearProgress();
    session.logNotes(summary.warnings, {});
    session.print(describeTasks(summary));
    session.log("wrote " + o.out + " · " + formatBytes(static_cast<double>(summary.diskBytes)) +
                " in " + formatDuration(summary.seconds));
    session.writeJson({{"path", o.out},
                       {"tasks", tasksJson(summary)},
                       {"warnings", summary.warnings},
                       {"seconds", summary.seconds},
                       {"bytes", summary.diskBytes}});
}

} // namespace

void addCollect(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command = addCommand(app, session, "collect",
                                   "Per-sample gradients and Fisher of a model on your samples",
                                   [&session, o] { collectDump(session, *o); });
    o->collect.add(command, CollectOptions::For::dump);
    command->add_option("--out", o->out, "Dump to write")->type_name("DUMP")->required();
}

} // namespace qkov::cli
