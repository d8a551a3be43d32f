// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "engine/Checks.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    ScoreOptions score;
    std::string dump;
};

void check(const Session& session, const Options& o) {
    (void)o.score.request(session);
    session.checkOutputs({}, {o.dump});
    const dump::DumpReader reader = o.score.open(session, o.dump);
    Job job = session.job();
    const std::vector<engine::Check> checks =
        engine::runChecks(reader, o.score.request(session, reader), job);
    session.clearProgress();
    std::vector<std::vector<std::string>> rows{{"check", "", "worst", ""}};
    for (const engine::Check& c : checks) {
        rows.push_back({c.name, engine::name(c.status), formatNumber(c.worst), c.detail});
    }
    session.print(table(rows, {false, false, true, false}));
    session.writeJson(engine::toJson(checks));
    const auto failures = std::count_if(checks.begin(), checks.end(), [](const engine::Check& c) {
        return c.status == engine::CheckStatus::fail;
    });
    if (failures > 0) {
        throw Error(std::to_string(failures) + " of " + std::to_string(checks.size()) +
                    " checks failed on " + o.dump);
    }
}

} // namespace

void addCheck(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command = addCommand(app, session, "check", "The metric's sanity checks on your data",
                                   [&session, o] { check(session, *o); });
    o->score.addDump(command, o->dump);
    o->score.add(command);
    ScoreOptions::addUnusedTop(command);
}

} // namespace qkov::cli
