// SPDX-License-Identifier: GPL-3.0-or-later
#include "Session.h"

#include "base/Error.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

struct Options {
    std::string results;
    std::string format;
    std::string what = "cells";
    std::string out;
    std::size_t top = 100;
};

void exportNumbers(const Session& session, const Options& o) {
    session.checkOutputs({o.out}, {o.results});
    const auto scores = results::openResults(o.results);
    Job job = session.job();
    job.stage("Exporting", 0, 1);
    if (o.format == "json") {
        results::exportJson(*scores, o.out, o.top);
    } else if (o.format == "npz") {
        results::exportNpz(*scores, o.out, &job);
    } else if (o.what == "pairs") {
        results::exportPairsCsv(*scores, o.out, &job);
    } else {
        results::exportCellsCsv(*scores, o.out, &job);
    }
    session.clearProgress();
    session.print(o.out + "\n");
    session.writeJson(
        {{"path", o.out}, {"format", o.format}, {"bytes", std::filesystem::file_size(o.out)}});
}

} // namespace

void addExport(CLI::App& app, Session& session) {
    const auto o = std::make_shared<Options>();
    CLI::App* command = addCommand(app, session, "export", "The numbers of a results file",
                                   [&session, o] { exportNumbers(session, *o); });
    command->add_option("RESULTS", o->results, "A results file")->required();
    command->add_option("--format", o->format, "csv, json or npz")
        ->check(CLI::IsMember({"csv", "json", "npz"}))
        ->type_name("csv|json|npz")
        ->required();
    command->add_option("--what", o->what, "For csv: one row per cell, or one per pair")
        ->check(CLI::IsMember({"cells", "pairs"}))
        ->type_name("cells|pairs")
        ->capture_default_str();
    command->add_option("--top", o->top, "For json: top conflicts per block")
        ->check(CLI::Range(0, 100'000'000))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--out", o->out, "File to write")->type_name("FILE")->required();
}

} // namespace qkov::cli
