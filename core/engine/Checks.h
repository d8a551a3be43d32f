// SPDX-License-Identifier: GPL-3.0-or-later
// The sanity checks of the metric, run on the user's own data.
#pragma once

#include "engine/Compute.h"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace qkov::engine {

enum class CheckStatus : std::uint8_t { pass, fail, skipped };
std::string name(CheckStatus);

struct Check {
    std::string name; ///< "head_additivity"…
    CheckStatus status = CheckStatus::skipped;
    std::string detail; ///< one line: what was compared, or why it was skipped
    double worst = 0;   ///< worst deviation (relative), share or correlation; NaN: none
};

/// All seven, in the order of the metric's list: head_additivity, loss_scale, ablation, symmetry,
/// sample_order, fisher_health, dependence_on_a. The invariances are checked on up to eight of the
/// selected samples per task and up to four of the selected layers; the last two on everything
/// selected. @throws as compute()
std::vector<Check> runChecks(const GradientSource& source, const ScoreRequest& request, Job& job);
std::vector<Check> runChecks(const dump::DumpReader& dump, const ScoreRequest& request, Job& job);

/// `check --json`: {name: {status, detail, worst}}
nlohmann::json toJson(const std::vector<Check>& checks);

} // namespace qkov::engine
