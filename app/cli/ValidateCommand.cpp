// SPDX-License-Identifier: GPL-3.0-or-later
#include "Session.h"

#include "base/Error.h"
#include "dump/Validate.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

void validate(const Session& session, const std::string& file) {
    session.checkOutputs({}, {file});
    Job job = session.job();
    const std::vector<std::string> problems = dump::validateDump(file, job);
    session.clearProgress();
    for (const std::string& p : problems) {
        session.print(p + "\n");
    }
    if (problems.empty()) {
        session.print("No problem found.\n");
    }
    session.writeJson(problems);
    if (!problems.empty()) {
        throw InputError("has " + std::to_string(problems.size()) +
                             (problems.size() == 1 ? " problem" : " problems"),
                         file);
    }
}

} // namespace

void addValidate(CLI::App& app, Session& session) {
    const auto file = std::make_shared<std::string>();
    CLI::App* command =
        addCommand(app, session, "validate", "Reads everything in a dump, reports every problem",
                   [&session, file] { validate(session, *file); });
    command->add_option("DUMP", *file, "A dump")->required();
}

} // namespace qkov::cli
