// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/ScoreRequest.h"

#include <nlohmann/json_fwd.hpp>

namespace qkov::results {

/// The inverse of engine::toJson(ScoreRequest). Keys that are absent keep their defaults; keys that
/// this version doesn't know are ignored.
/// @throws UsageError naming a key whose value can't be used
engine::ScoreRequest requestFromJson(const nlohmann::json& config);

} // namespace qkov::results
