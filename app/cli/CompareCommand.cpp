// SPDX-License-Identifier: GPL-3.0-or-later
#include "ScoreOptions.h"

#include "base/Numbers.h"
#include "engine/CompareModes.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    ScoreOptions score;
    std::string dump;
    std::size_t top = 0;
};

std::string describe(const engine::Comparison& c) {
    std::vector<std::vector<std::string>> rows{
        {"modes", "Spearman ρ", "Q", "K", "V", "O", "top-k in common"}};
    for (const engine::ModeDifference& d : c.differences) {
        std::vector<std::string> row{engine::name(d.first) + " – " + engine::name(d.second),
                                     formatNumber(d.spearman)};
        for (const double rho : d.perBlock) {
            row.push_back(formatNumber(rho));
        }
        row.push_back(formatNumber(d.topOverlap) + " of " + std::to_string(d.top));
        rows.push_back(row);
    }
    std::string text = table(rows, {false, true, true, true, true, true, true});
    rows = {{"mode", "correlation with ‖g_j‖₁ alone"}};
    for (std::size_t m = 0; m < c.scores.size() && m < c.pictureOfB.size(); ++m) {
        const auto& mode = c.scores[m]->header().request.mode;
        rows.push_back({mode ? engine::name(*mode) : "–", formatNumber(c.pictureOfB[m])});
    }
    return text + "\n" + table(rows, {false, true});
}

void compare(const Session& session, const Options& o) {
    (void)o.score.request(session);
    session.checkOutputs({}, {o.dump});
    const dump::DumpReader reader = o.score.open(session, o.dump);
    Job job = session.job();
    const engine::Comparison comparison =
        engine::compareModes(reader, o.score.request(session, reader), o.top, job);
    session.clearProgress();
    session.logNotes(comparison.warnings, {});
    session.print(describe(comparison));
    if (session.wantsJson()) {
        session.writeJson(engine::toJson(comparison));
    }
}

} // namespace

void addCompare(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command = addCommand(app, session, "compare",
                                   "The normalization modes side by side, and how they differ",
                                   [&session, o] { compare(session, *o); });
    o->score.addDump(command, o->dump);
    command->add_option("--top", o->top, "k of the overlap; unset: a tenth of the cells")
        ->check(CLI::Range(1, 100'000'000))
        ->type_name("K");
    o->score.add(command);
}

} // namespace qkov::cli
