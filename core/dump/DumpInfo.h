// SPDX-License-Identifier: GPL-3.0-or-later
// What a dump holds, without the numbers.
#pragma once

#include "base/DType.h"
#include "model/HeadLayout.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace qkov::dump {

struct SampleInfo {
    std::string id; ///< integers as decimal text
    std::string text;
    std::string group;
    std::int32_t tokens = 0; ///< predicted tokens; 0 if the dump doesn't say
    float loss = std::numeric_limits<float>::quiet_NaN();
};

enum class Storage : std::uint8_t {
    dense,         ///< gradients/<p>, perhaps contributions/<p> too
    contributions, ///< contributions/<p> alone: |g| = sqrt(C · scale), signed variants impossible
    factored,      ///< factors/<p>
};

struct ParameterEntry {
    std::string name;
    std::vector<std::int64_t> shape; ///< of the parameter itself, 1 or 2 dims
    Storage storage = Storage::dense;
    DType dtype = DType::f32; ///< as stored: gradients, or input factors, or contributions alone
    bool storedContributions = false;
    DType contributionsDtype = DType::f32; ///< of stored contributions
    bool contributionsPerToken = false;    ///< definition "g^2/tokens"
    std::int64_t maxTokens = 0; ///< T of factored storage
    DType gradOutputDtype = DType::f32; ///< of factored storage's grad_output
    /// Stored [in, out] (GPT-2's Conv1D). Factored storage: rows are inputs, columns outputs.
    bool inOut = false;
    std::int64_t inputSize() const { return inOut ? shape.front() : shape.back(); }
    std::int64_t outputSize() const { return inOut ? shape.back() : shape.front(); }
};

enum class Resolution : std::uint8_t { element, head, type };

struct FisherEntry {
    std::string parameter;
    std::vector<std::int64_t> shape; ///< of the stored dataset
    Resolution resolution = Resolution::element;
    bool reducedBySum = false;
};

struct FisherSet {
    std::string name;      ///< "structural" | "behavioral"
    std::string estimator; ///< "ema" | "mean" | "oneshot"
    double decay = 0.99;
    std::int64_t samples = 0;
    bool biasCorrected = true;
    std::map<std::string, FisherEntry> parameters;
};

struct TaskInfo {
    std::string name;
    std::string lossReduction; ///< "mean" | "sum"
    std::vector<SampleInfo> samples;
    std::map<std::string, ParameterEntry> parameters;
    std::map<std::string, FisherSet> fisher;
    /// Index of the sample with this id, or -1.
    std::int64_t sampleIndex(const std::string& id) const;
};

struct HeadTypes {
    std::vector<std::string> names;
    std::vector<std::uint8_t> type; ///< [L, H] row-major, index into names
    std::vector<float> scores;      ///< [L, H, names] or empty
};

struct DumpInfo {
    std::string createdBy;
    std::string createdAt;
    model::ModelShape model;
    std::vector<TaskInfo> tasks; ///< by name
    HeadTypes headTypes;         ///< names empty: absent
    std::vector<std::string> notes; ///< what was found but can't be used, one line each
    /// Hash over the file's size, modification time and metadata; keys caches, names the source.
    std::string fingerprint;
    std::uint64_t fileBytes = 0;
    const TaskInfo* task(const std::string& name) const;
};

} // namespace qkov::dump
