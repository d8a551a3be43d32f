// SPDX-License-Identifier: GPL-3.0-or-later
// Gradient stores of other tools → a dump. Each store becomes one task.
#pragma once

#include "base/Job.h"
#include "model/HeadLayout.h"

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

/// What an import reads, config and layout included: the dump can't be written there.
std::vector<std::filesystem::path> importedFiles(const ImportRequest& request);

/// Blocks in stores are [out, in], also for GPT-2's Conv1D, whose matrices are turned round. A bias
/// column behind the inputs is split off. Reads one sample's block at a time.
/// @throws InputError naming the file: not a store, truncated, no attention matrices, projected
///         gradients (they have no head axis), sizes that disagree with the model; nothing is
///         written then. UsageError: the dump would replace what is read
ImportSummary importStores(const ImportRequest& request, Job& job);

/// What an import would read and write. Nothing is thrown for what the request lacks or names
/// wrongly: each part says its own problem, one line.
struct ImportPreview {
    struct Task {
        std::string kind; ///< "bergson" | "logix"; empty: not a store
        std::int64_t samples = 0;
        std::int64_t modules = 0;    ///< in the store
        std::int64_t parameters = 0; ///< attention matrices among them
        std::string dtype;           ///< as the dump will hold the numbers
        double diskBytes = 0;        ///< of the dump
        std::string storeProblem;
        std::string samplesProblem;
        std::vector<std::string> names; ///< modules, as in the store
    };
    model::ModelShape model; ///< numLayers 0: not known yet
    std::string configProblem;
    std::string layoutProblem;
    std::vector<Task> tasks; ///< as in the request
    double diskBytes = 0;
    std::vector<std::string> warnings;
};
ImportPreview previewImport(const ImportRequest& request);

} // namespace qkov::dump
