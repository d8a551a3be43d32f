// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/AlteredSource.h"
#include "engine/Checks.h"

namespace qkov::engine {

/// Σ over distinct head slices against the unsliced matrix, each parameter with the D of its own
/// slice; also that every parameter of the matrix belongs to exactly one slice.
Check headAdditivity(const GradientSource& source, const Alteration& part,
                     const ScoreRequest& request, Job& job);

} // namespace qkov::engine
