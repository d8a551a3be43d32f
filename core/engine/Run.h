// SPDX-License-Identifier: GPL-3.0-or-later
// Sizes of a run. Internal to the engine.
#pragma once

#include "engine/Context.h"

namespace qkov::engine {

std::size_t pairCount(const Context& context, bool pooledPairs);
std::int64_t resultBytes(const Context& context, bool pooledPairs);
/// Bytes of tiles that may live at once.
std::int64_t tileBudget(const Context& context, const Backend& backend);

/// Samples that `--nonfinite skip` leaves out: NaN or infinity anywhere in what the request reads.
Excluded findNonFinite(const GradientSource& source, const ScoreRequest& request, Job& job);

} // namespace qkov::engine
