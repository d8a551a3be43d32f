// SPDX-License-Identifier: GPL-3.0-or-later
// Facts about models and dumps, for people and as JSON.
#pragma once

#include "dump/DumpInfo.h"
#include "model/HeadLayout.h"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace qkov::cli {

/// Attention blocks that no matrix in the file has: "block O of layers 2-3".
std::vector<std::string> missingOfLayout(const model::HeadLayout& layout);
/// Per task, and what the lack of head types disables.
std::vector<std::string> missingOfDump(const dump::DumpInfo& info, const model::HeadLayout& layout);

std::string describeModel(const model::ModelShape& model);
std::string storageText(const dump::TaskInfo& task); ///< "factored float16"
std::string fisherText(const dump::TaskInfo& task);  ///< "structural (ema)"; "–" if none
/// "12 induction, 5 previous_token"; empty if unknown.
std::string describeHeadTypes(const dump::HeadTypes& types);

nlohmann::json modelJson(const model::ModelShape& model);
nlohmann::json parametersJson(const model::HeadLayout& layout);
nlohmann::json taskJson(const dump::TaskInfo& task);
nlohmann::json headTypesJson(const dump::HeadTypes& types, const model::ModelShape& model);

} // namespace qkov::cli
