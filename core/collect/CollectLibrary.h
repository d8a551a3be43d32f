// SPDX-License-Identifier: GPL-3.0-or-later
// What libqkov_collect offers, found by name. Both libraries come from one build, so plain C++
// types and exceptions cross between them.
#pragma once

#include "collect/Capture.h"
#include "collect/CollectPlan.h"

namespace qkov::collect {

inline constexpr int collectLibraryVersion = 6;

struct CollectLibrary {
    int version;
    CollectPlan (*plan)(const CollectRequest&);
    CollectSummary (*collect)(const CollectRequest&, Job&);
    std::unique_ptr<engine::GradientSource> (*capture)(const CollectRequest&, Job&,
                                                       CollectSummary&);
    /// Measured matrix products, FLOP/s.
    double (*measureRate)(const CollectRequest&);
    std::vector<ScriptParameter> (*scriptParameters)(const std::filesystem::path&);
};

/// Loads the library at the first call. @throws Error if it can't be loaded
const CollectLibrary& collectLibrary();

} // namespace qkov::collect

/// The library's only exported entry.
extern "C" __attribute__((visibility("default"))) const qkov::collect::CollectLibrary*
qkov_collect_library();
