// SPDX-License-Identifier: GPL-3.0-or-later
// Options of collecting, shared by `collect` and `run`.
#pragma once

#include "Session.h"

#include "collect/Collect.h"

namespace qkov::cli {

class CollectOptions {
  public:
    enum class For { dump, run }; ///< run: what belongs to a dump alone is left out
    void add(CLI::App* command, For what);
    /// @throws UsageError
    collect::CollectRequest request(const Session& session) const;
    bool dryRun() const { return m_dryRun; }
    /// Files that are read: outputs must not name them.
    std::vector<std::filesystem::path> inputs() const;

  private:
    For m_what = For::dump;
    std::string m_model;
    std::vector<std::string> m_tasks;
    std::string m_storage = "factors";
    std::string m_dtype = "f16";
    std::string m_computeDtype = "f32";
    std::string m_loss = "mean";
    double m_emaDecay = 0.99;
    std::int64_t m_maxSamples = 0;
    std::int64_t m_maxTokens = 0;
    std::vector<std::string> m_fisher{"structural"};
    std::string m_estimator = "ema";
    std::string m_resolution = "element";
    bool m_headTypes = false;
    std::string m_probe;
    bool m_noBias = false;
    bool m_resume = false;
    std::string m_layout;
    bool m_dryRun = false;
};

std::string describeEstimate(const collect::CollectEstimate& estimate);
std::string describeTasks(const collect::CollectSummary& summary);
nlohmann::json tasksJson(const collect::CollectSummary& summary);
nlohmann::json estimateJson(const collect::CollectEstimate& estimate);

} // namespace qkov::cli
