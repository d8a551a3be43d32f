// SPDX-License-Identifier: GPL-3.0-or-later
// From a checkpoint straight to the engine: gradients captured into memory, no dump in between.
#pragma once

#include "collect/Collect.h"
#include "engine/GradientSource.h"

#include <memory>

namespace qkov::collect {

/// Runs the model on all tasks and keeps what a dump would hold: gradients in the stored type
/// (factored or dense), samples with losses, head types and the behavioral Fisher if
/// asked for. The structural Fisher is left to the engine.
/// What doesn't fit the memory budget beside the model goes to "<request.out>.partial" (with no
/// `out`: the system's temporary folder), which lives as long as the source.
/// With `resume`, batches always go there, what an interrupted run left is used, and an exception
/// that ends the work leaves them for the next one.
/// `job` is not finished: scoring follows. @param summary filled if given
/// @throws InputError, UsageError, Cancelled
std::unique_ptr<engine::GradientSource> capture(const CollectRequest& request, Job& job,
                                                CollectSummary* summary = nullptr);

} // namespace qkov::collect
