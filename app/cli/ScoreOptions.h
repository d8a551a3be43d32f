// SPDX-License-Identifier: GPL-3.0-or-later
// The options of the metric, shared by every command that scores.
#pragma once

#include "Session.h"

#include "dump/DumpReader.h"
#include "engine/ScoreRequest.h"

namespace qkov::cli {

class ScoreOptions {
  public:
    void add(CLI::App* command);
    /// The dump that is scored, and --layout for one of an unknown architecture.
    void addDump(CLI::App* command, std::string& dump);
    /// @throws InputError, Cancelled
    dump::DumpReader open(const Session& session, const std::string& dump) const;
    /// --top where nothing is listed: all commands that score take the same options.
    static void addUnusedTop(CLI::App* command);

    /// @throws UsageError
    engine::ScoreRequest request(const Session& session) const;
    /// The same, with sample ids looked up in the dump: a text that is no id is a list of ids; and
    /// with the decay that is in force, where the Fisher is a stored moving average.
    engine::ScoreRequest request(const Session& session, const dump::DumpInfo& info) const;
    /// @throws InputError the dump holds nothing of what is asked for
    engine::ScoreRequest request(const Session& session, const dump::DumpReader& dump) const;

    /// True when --max-samples was written.
    bool limitsSamples() const { return m_maxOption && m_maxOption->count() > 0; }

    std::string taskA;
    std::string taskB;

  private:
    std::string m_layout;
    std::string m_mode;
    std::string m_variant = "magnitude";
    std::string m_fisherTask = "pooled";
    std::string m_estimator;
    std::string m_regularization = "default";
    double m_emaDecay = 0.99;
    const CLI::Option* m_decayOption = nullptr;
    double m_epsilon = -1;
    double m_ridge = -1;
    double m_ridgeRelative = -1;
    std::string m_aggregate = "sum";
    std::string m_gradScale = "none";
    bool m_includeBias = false;
    std::string m_nonFinite = "error";
    std::string m_precision = "fp32";
    std::string m_layers;
    std::string m_heads;
    std::string m_blocks;
    std::vector<std::string> m_samplesA;
    std::vector<std::string> m_samplesB;
    std::int64_t m_maxSamples = 100;
    const CLI::Option* m_maxOption = nullptr;
};

} // namespace qkov::cli
