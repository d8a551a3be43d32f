// SPDX-License-Identifier: GPL-3.0-or-later
#include "Session.h"

#include "base/Error.h"
#include "dump/Validate.h"
#include "model/ModelConfig.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {
namespace {

void validate(const Session& session, const std::string& file, const std::string& layout) {
    session.checkOutputs({}, {file});
    const std::string layoutJson = layout.empty() ? std::string() : model::readLayoutFile(layout);
    Job job = session.job();
    const std::vector<std::string> problems = dump::validateDump(file, job, layoutJson);
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
    const auto layout = std::make_shared<std::string>();
    CLI::App* command =
        addCommand(app, session, "validate", "Reads everything in a dump, reports every problem",
                   [&session, file, layout] { validate(session, *file, *layout); });
    command->add_option("DUMP", *file, "A dump")->required();
    command
        ->add_option("--layout", *layout,
                     "Layout file, for a dump of an unknown architecture that carries none")
        ->type_name("FILE");
}

} // namespace qkov::cli
