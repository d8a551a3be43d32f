// SPDX-License-Identifier: GPL-3.0-or-later
// What every command shares: where data, log and progress go, the options for it, cancellation.
#pragma once

#include "base/Job.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace qkov::cli {

/// Options of every command, and the one action that the command line asks for.
class Session {
  public:
    std::string json; ///< a file, "-" for standard output, or empty
    bool quiet = false;
    bool progress = false;
    std::string device = "auto";
    int threads = 0;
    std::string memoryBudget; ///< as given; empty: not given

    /// Set by the command that was named; run after the whole command line was read.
    std::function<void()> action;

    bool limitsMemory() const { return !memoryBudget.empty(); }
    /// The budget, 2 GB where none is given.
    std::int64_t memoryBytes() const;
    /// For work that holds a whole model: where no budget is given, half of what the machine has
    /// (free), and at least 2 GB.
    std::int64_t modelMemoryBytes(bool ofFree) const;
    /// Token of SIGINT and SIGTERM.
    const CancelToken& token() const { return m_token; }
    /// Reports to stderr on a terminal, or with --progress.
    Job job() const;

    /// Data for people, on stdout; left out when JSON goes there.
    void print(const std::string& text) const;
    /// One line on stderr, unless --quiet.
    void log(const std::string& line) const;
    /// Notes and missing data of a result, as log lines.
    void logNotes(const std::vector<std::string>& notes,
                  const std::vector<std::string>& missing) const;
    bool wantsJson() const { return !json.empty(); }
    /// To the place --json names.
    void writeJson(const nlohmann::json& value) const;
    /// Removes the progress line, so that the next line on stderr stands alone.
    void clearProgress() const;

    /// Before long work: every file that it will write can be written.
    /// @throws InputError; UsageError when an output is one of the inputs
    void checkOutputs(const std::vector<std::filesystem::path>& outputs,
                      const std::vector<std::filesystem::path>& inputs) const;

  private:
    CancelToken m_token;
};

/// A subcommand with the shared options; `action` is run if it was named.
CLI::App* addCommand(CLI::App& app, Session& session, const std::string& name,
                     const std::string& description, std::function<void()> action);

/// For Option::check: a finite number from `low` to `high`; `high` may be the largest double.
std::function<std::string(const std::string&)> numberBetween(double low, double high);

/// A table: columns padded to their widest entry (counted in characters), numbers to the right.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<bool>& rightAligned);

// One per file.
void addInfo(CLI::App& app, Session& session);
void addCollect(CLI::App& app, Session& session);
void addCompute(CLI::App& app, Session& session);
void addPair(CLI::App& app, Session& session);
void addExport(CLI::App& app, Session& session);
void addFigure(CLI::App& app, Session& session);
void addCompare(CLI::App& app, Session& session);
void addCheck(CLI::App& app, Session& session);
void addValidate(CLI::App& app, Session& session);
void addRun(CLI::App& app, Session& session);
void addImport(CLI::App& app, Session& session);

} // namespace qkov::cli
