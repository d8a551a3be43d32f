// SPDX-License-Identifier: GPL-3.0-or-later
#include "Session.h"

#include "base/AtomicFile.h"
#include "base/Memory.h"
#include "base/Numbers.h"
#include "results/Summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace qkov::cli {
namespace {

std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

bool onTerminal() {
    static const bool terminal = ::isatty(STDERR_FILENO) == 1;
    return terminal;
}

void showProgress(const Progress& p) {
    std::string line = p.stage + " · " + std::to_string(std::lround(p.fraction * 100)) + " %";
    if (p.remainingSeconds >= 0 && p.fraction < 1) {
        line += " · " + formatDuration(p.remainingSeconds) + " left";
    }
    std::fputs(onTerminal() ? ("\r\x1b[K" + line).c_str() : (line + "\n").c_str(), stderr);
    std::fflush(stderr);
}

} // namespace

std::int64_t Session::memoryBytes() const {
    return parseBytes(limitsMemory() ? memoryBudget : "2G");
}

std::int64_t Session::modelMemoryBytes(bool ofFree) const {
    const MachineMemory machine = machineMemory();
    return limitsMemory()
               ? memoryBytes()
               : std::max(memoryBytes(), (ofFree ? machine.available : machine.total) / 2);
}

Job Session::job() const {
    const bool show = !quiet && (progress || onTerminal());
    return Job(m_token, show ? Job::Sink(showProgress) : Job::Sink(),
               std::chrono::milliseconds(onTerminal() ? 100 : 1000));
}

void Session::print(const std::string& text) const {
    if (json != "-") {
        std::fwrite(text.data(), 1, text.size(), stdout);
    }
}

void Session::clearProgress() const {
    if (!quiet && onTerminal()) {
        std::fputs("\r\x1b[K", stderr);
    }
}

void Session::log(const std::string& line) const {
    if (!quiet) {
        clearProgress();
        std::fputs((line + "\n").c_str(), stderr);
    }
}

void Session::logNotes(const std::vector<std::string>& notes,
                       const std::vector<std::string>& missing) const {
    constexpr std::size_t shown = 10;
    for (const std::string& note : notes) {
        log("note: " + note);
    }
    for (std::size_t i = 0; i < std::min(shown, missing.size()); ++i) {
        log("missing: " + missing[i]);
    }
    if (missing.size() > shown) {
        log("missing: " + std::to_string(missing.size() - shown) + " more, listed with --json");
    }
}

void Session::writeJson(const nlohmann::json& value) const {
    if (json.empty()) {
        return;
    }
    const std::string text = results::jsonText(value);
    if (json == "-") {
        std::fwrite(text.data(), 1, text.size(), stdout);
    } else {
        writeTextFile(json, text);
    }
}

void Session::checkOutputs(const std::vector<std::filesystem::path>& outputs,
                           const std::vector<std::filesystem::path>& inputs) const {
    std::vector<std::filesystem::path> all = outputs;
    if (!json.empty() && json != "-") {
        all.emplace_back(json);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (const auto& input : inputs) {
            std::error_code ignored;
            if (std::filesystem::equivalent(all[i], input, ignored)) {
                throw UsageError(all[i].string() + " is an input; write to another file");
            }
        }
        for (std::size_t k = 0; k < i; ++k) {
            if (all[i].lexically_normal() == all[k].lexically_normal()) {
                throw UsageError(all[i].string() + " is named for two outputs");
            }
        }
        // Opened and given up: nothing is left, and an old file stays.
        const AtomicFile probe(all[i]);
    }
}

CLI::App* addCommand(CLI::App& app, Session& session, const std::string& name,
                     const std::string& description, std::function<void()> action) {
    CLI::App* command = app.add_subcommand(name, description);
    command->set_help_flag("-h,--help", "Show this text");
    command->set_version_flag("--version", "qkov " QKOV_VERSION, "Show the version");
    const char* const group = "Every command";
    command->add_option("--json", session.json, "Write the result as JSON; - is standard output")
        ->type_name("FILE|-")
        ->group(group);
    command->add_flag("--quiet", session.quiet, "Errors only on stderr")->group(group);
    command->add_flag("--progress", session.progress, "Show progress though stderr is no terminal")
        ->group(group);
    command->add_option("--device", session.device, "auto, cpu or cuda[:n]")
        ->type_name("NAME")
        ->check([](const std::string& text) {
            const bool numbered = text.rfind("cuda:", 0) == 0 && text.size() > 5 &&
                                  text.size() < 9 &&
                                  std::all_of(text.begin() + 5, text.end(),
                                              [](unsigned char c) { return std::isdigit(c); });
            return text == "auto" || text == "cpu" || text == "cuda" || numbered
                       ? std::string()
                       : "'" + text + "' is not auto, cpu, cuda or cuda:n";
        })
        ->capture_default_str()
        ->group(group);
    command->add_option("--threads", session.threads, "Threads to use; 0 is all cores")
        ->check(CLI::Range(0, 4096))
        ->type_name("N")
        ->group(group);
    command
        ->add_option("--memory-budget", session.memoryBudget,
                     "Memory to use, like 512M; unset: 2G, or half of the machine's to collect and "
                     "run. On a GPU also of gradients and activations, beside the weights")
        ->check([](const std::string& text) {
            try {
                parseBytes(text);
            } catch (const UsageError& e) {
                return std::string(e.what());
            }
            return std::string();
        })
        ->type_name("SIZE")
        ->capture_default_str()
        ->group(group);
    command->callback([&session, action = std::move(action)] { session.action = action; });
    return command;
}

std::function<std::string(const std::string&)> numberBetween(double low, double high) {
    return [low, high](const std::string& text) {
        char* end = nullptr;
        const double x = std::strtod(text.c_str(), &end);
        const bool number = !text.empty() && end == text.c_str() + text.size();
        if (number && x >= low && x <= high) { // not NaN
            return std::string();
        }
        char range[64];
        std::snprintf(range, sizeof range,
                      high < std::numeric_limits<double>::max() ? "from %g to %g" : "from %g up",
                      low, high);
        return "'" + text + "' is not a number " + range;
    };
}

std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<bool>& rightAligned) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t c = 0; c < row.size(); ++c) {
            widths[c] = std::max(widths[c], characters(row[c]));
        }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string padding(widths[c] - characters(row[c]), ' ');
            const bool right = c < rightAligned.size() && rightAligned[c];
            line += (c ? "  " : "") + (right ? padding + row[c] : row[c] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

} // namespace qkov::cli
