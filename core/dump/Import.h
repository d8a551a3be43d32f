// SPDX-License-Identifier: GPL-3.0-or-later
// Gradient stores of other tools → a dump. Each store becomes one task.
#pragma once

#include "base/Job.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::dump {

struct ImportTask {
    std::string name;
    /// A folder: a bergson gradient store (info.json, gradients.bin) or a LogIX log
    /// (*_metadata.json, *.mmap).
    std::filesystem::path store;
    /// Optional JSON Lines {"id", "text", "group", "n_tokens"}: bergson stores in their order,
    /// LogIX logs by id.
    std::filesystem::path samples;
};

struct ImportRequest {
    std::vector<ImportTask> tasks;
    std::filesystem::path config; ///< the model's config.json, or its folder
    std::filesystem::path layout; ///< a layout file, for architectures the registry lacks
    std::string lossReduction = "mean";
    std::filesystem::path out;
};

struct ImportSummary {
    struct Task {
        std::string name;
        std::string kind; ///< "bergson" | "logix"
        std::int64_t samples = 0;
        std::int64_t parameters = 0; ///< attention matrices found
    };
    std::vector<Task> tasks;
    std::vector<std::string> warnings;
};

/// Blocks in stores are [out, in], also for GPT-2's Conv1D, whose matrices are turned round. A bias
/// column behind the inputs is split off. Reads one sample's block at a time.
/// @throws InputError naming the file: not a store, truncated, no attention matrices, projected
///         gradients (they have no head axis), sizes that disagree with the model
ImportSummary importStores(const ImportRequest& request, Job& job);

} // namespace qkov::dump
