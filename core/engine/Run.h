// SPDX-License-Identifier: GPL-3.0-or-later
// Sizes of a run. Internal to the engine.
#pragma once

#include "engine/Compute.h"
#include "engine/Context.h"

namespace qkov::engine {

std::size_t pairCount(const Context& context, bool pooledPairs);
std::int64_t resultBytes(const Context& context, bool pooledPairs);
/// Bytes of tiles that may live at once.
std::int64_t tileBudget(const Context& context, const Backend& backend);

/// All computations go through here, on whatever backend; modes empty: the request's.
std::vector<std::shared_ptr<const Scores>>
computeOn(Backend& backend, const GradientSource& source, const ScoreRequest& request,
          const std::vector<Mode>& modes, bool pooledPairs, Job& job, const PartialSink& partial);

/// Samples that `--nonfinite skip` leaves out: NaN or infinity anywhere in what the request reads.
Excluded findNonFinite(const GradientSource& source, const ScoreRequest& request, Job& job);

} // namespace qkov::engine
