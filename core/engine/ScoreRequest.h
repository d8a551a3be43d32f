// SPDX-License-Identifier: GPL-3.0-or-later
// What to compute. Every default is the metric's documented default.
#pragma once

#include "base/Index.h"

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace qkov::engine {

enum class Mode : std::uint8_t { behavioral, structural, hybrid };
enum class Variant : std::uint8_t { magnitude, signedProduct, symmetric, natural, cosine, profile };
enum class FisherTask : std::uint8_t { pooled, a, b };
enum class Estimator : std::uint8_t { ema, mean };
enum class Aggregate : std::uint8_t { sum, mean };
enum class GradScale : std::uint8_t { none, perToken };
enum class NonFinite : std::uint8_t { error, skip };
enum class Precision : std::uint8_t { fp32, fast };

/// D_k = max(F_k, epsilon) + max(ridge, ridgeRelative · mean_S(F))
struct Regularization {
    double epsilon = 1e-30;
    double ridge = 0;
    double ridgeRelative = 1e-3;
    /// The constants of the original module.
    static Regularization original() { return {1e-10, 1e-8, 0}; }
};

struct ScoreRequest {
    std::string taskA;
    std::string taskB;
    /// Unset: behavioral if the dump can, else structural, and the choice is reported.
    std::optional<Mode> mode;
    Variant variant = Variant::magnitude;
    FisherTask fisherTask = FisherTask::pooled;
    /// Unset: the stored structural set whatever its estimator, else ema.
    std::optional<Estimator> estimator;
    double emaDecay = 0.99; ///< for a Fisher computed here
    Regularization regularization;
    Aggregate aggregate = Aggregate::sum;
    GradScale gradScale = GradScale::none;
    bool includeBias = false;
    NonFinite nonFinite = NonFinite::error;
    Precision precision = Precision::fp32;

    /// Model's own numbers, ascending; empty: all.
    std::vector<std::int64_t> layers;
    std::vector<std::int64_t> heads;
    /// Empty: all four.
    std::vector<Block> blocks;
    /// Ids in the order wanted; empty: the first maxSamples in dump order.
    std::vector<std::string> samplesA;
    std::vector<std::string> samplesB;
    std::int64_t maxSamples = 100;

    std::string device = "auto";                       ///< auto | cpu | cuda[:n]
    int threads = 0;                                   ///< 0: all cores
    std::int64_t memoryBudget = std::int64_t(2) << 30; ///< bytes
    /// A request of about so many products is answered in float64 on the CPU, which takes no time
    /// then: where few terms cancel, the rounding of float32 would show. 0: never. No option.
    std::int64_t exactBelow = std::int64_t(1) << 25;
};

/// Names as on the command line ("signed", "per_token"…). parse* throw UsageError listing the
/// accepted names.
std::string name(Mode);
std::string name(Variant);
std::string name(FisherTask);
std::string name(Estimator);
std::string name(Aggregate);
std::string name(GradScale);
std::string name(NonFinite);
std::string name(Precision);
Mode parseMode(const std::string&);
Variant parseVariant(const std::string&);
FisherTask parseFisherTask(const std::string&);
Estimator parseEstimator(const std::string&);
Aggregate parseAggregate(const std::string&);
GradScale parseGradScale(const std::string&);
NonFinite parseNonFinite(const std::string&);
Precision parsePrecision(const std::string&);
/// "0-3,5" → {0,1,2,3,5}. @throws UsageError
std::vector<std::int64_t> parseRanges(const std::string& text);
/// "QKVO", "Q,O" → blocks. @throws UsageError
std::vector<Block> parseBlocks(const std::string& text);

/// Every option in force, for config_json and `compute --json`.
nlohmann::json toJson(const ScoreRequest&);

} // namespace qkov::engine
