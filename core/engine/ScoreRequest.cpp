// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/ScoreRequest.h"

#include "base/Error.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

namespace qkov::engine {

namespace {

template <class E>
struct Named {
    E value;
    const char* text;
};

constexpr std::array modes{Named<Mode>{Mode::behavioral, "behavioral"},
                           Named<Mode>{Mode::structural, "structural"},
                           Named<Mode>{Mode::hybrid, "hybrid"}};
constexpr std::array variants{Named<Variant>{Variant::magnitude, "magnitude"},
                              Named<Variant>{Variant::signedProduct, "signed"},
                              Named<Variant>{Variant::symmetric, "symmetric"},
                              Named<Variant>{Variant::natural, "natural"},
                              Named<Variant>{Variant::cosine, "cosine"},
                              Named<Variant>{Variant::profile, "profile"}};
constexpr std::array fisherTasks{Named<FisherTask>{FisherTask::pooled, "pooled"},
                                 Named<FisherTask>{FisherTask::a, "a"},
                                 Named<FisherTask>{FisherTask::b, "b"}};
constexpr std::array estimators{Named<Estimator>{Estimator::ema, "ema"},
                                Named<Estimator>{Estimator::mean, "mean"}};
constexpr std::array aggregates{Named<Aggregate>{Aggregate::sum, "sum"},
                                Named<Aggregate>{Aggregate::mean, "mean"}};
constexpr std::array gradScales{Named<GradScale>{GradScale::none, "none"},
                                Named<GradScale>{GradScale::perToken, "per_token"}};
constexpr std::array nonFinites{Named<NonFinite>{NonFinite::error, "error"},
                                Named<NonFinite>{NonFinite::skip, "skip"}};
constexpr std::array precisions{Named<Precision>{Precision::fp32, "fp32"},
                                Named<Precision>{Precision::fast, "fast"}};

template <class E, std::size_t N>
std::string nameOf(const std::array<Named<E>, N>& table, E value) {
    for (const auto& entry : table) {
        if (entry.value == value) {
            return entry.text;
        }
    }
    return "?";
}

template <class E, std::size_t N>
E parseOne(const std::array<Named<E>, N>& table, const std::string& text, const char* what) {
    std::string accepted;
    for (const auto& entry : table) {
        if (text == entry.text) {
            return entry.value;
        }
        accepted += (accepted.empty() ? "" : ", ") + std::string(entry.text);
    }
    throw UsageError("unknown " + std::string(what) + " \"" + text + "\"; choose one of " +
                     accepted);
}

std::int64_t parseNumber(const std::string& text, const std::string& whole) {
    const bool digits =
        !text.empty() && text.size() <= 9 &&
        std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!digits) {
        throw UsageError("\"" + whole + "\" is not a list of numbers; write it like 0-3,5");
    }
    return std::stoll(text);
}

} // namespace

std::string name(Mode v) {
    return nameOf(modes, v);
}
std::string name(Variant v) {
    return nameOf(variants, v);
}
std::string name(FisherTask v) {
    return nameOf(fisherTasks, v);
}
std::string name(Estimator v) {
    return nameOf(estimators, v);
}
std::string name(Aggregate v) {
    return nameOf(aggregates, v);
}
std::string name(GradScale v) {
    return nameOf(gradScales, v);
}
std::string name(NonFinite v) {
    return nameOf(nonFinites, v);
}
std::string name(Precision v) {
    return nameOf(precisions, v);
}

Mode parseMode(const std::string& s) {
    return parseOne(modes, s, "mode");
}
Variant parseVariant(const std::string& s) {
    return parseOne(variants, s, "variant");
}
FisherTask parseFisherTask(const std::string& s) {
    return parseOne(fisherTasks, s, "Fisher task");
}
Estimator parseEstimator(const std::string& s) {
    return parseOne(estimators, s, "Fisher estimator");
}
Aggregate parseAggregate(const std::string& s) {
    return parseOne(aggregates, s, "aggregate");
}
GradScale parseGradScale(const std::string& s) {
    return parseOne(gradScales, s, "gradient scale");
}
NonFinite parseNonFinite(const std::string& s) {
    return parseOne(nonFinites, s, "treatment of non-finite numbers");
}
Precision parsePrecision(const std::string& s) {
    return parseOne(precisions, s, "precision");
}

std::vector<std::int64_t> parseRanges(const std::string& text) {
    // Enough for any model; keeps "0-999999999" from filling the memory.
    constexpr std::int64_t most = std::int64_t(1) << 20;
    std::vector<std::int64_t> numbers;
    std::size_t at = 0;
    while (at <= text.size()) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        std::string item = text.substr(at, comma - at);
        item.erase(std::remove_if(item.begin(), item.end(),
                                  [](unsigned char c) { return std::isspace(c) != 0; }),
                   item.end());
        const std::size_t dash = item.find('-');
        const std::int64_t first = parseNumber(item.substr(0, dash), text);
        const std::int64_t last =
            dash == std::string::npos ? first : parseNumber(item.substr(dash + 1), text);
        if (last < first || last >= most) {
            throw UsageError("the range \"" + item + "\" " +
                             (last < first ? "runs backwards" : "is too large"));
        }
        for (std::int64_t i = first; i <= last; ++i) {
            numbers.push_back(i);
        }
        at = comma + 1;
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
}

std::vector<Block> parseBlocks(const std::string& text) {
    std::array<bool, 4> wanted{};
    bool any = false;
    for (const char c : text) {
        if (c == ',' || c == ' ') {
            continue;
        }
        bool known = false;
        for (const Block b : allBlocks) {
            if (std::toupper(static_cast<unsigned char>(c)) == blockName(b)) {
                wanted[blockIndex(b)] = known = any = true;
            }
        }
        if (!known) {
            throw UsageError(std::string("unknown block \"") + c + "\"; choose from Q, K, V, O");
        }
    }
    if (!any) {
        throw UsageError("no block named; choose from Q, K, V, O");
    }
    std::vector<Block> blocks;
    for (const Block b : allBlocks) {
        if (wanted[blockIndex(b)]) {
            blocks.push_back(b);
        }
    }
    return blocks;
}

nlohmann::json toJson(const ScoreRequest& r) {
    std::string blocks;
    for (const Block b : r.blocks) {
        blocks += blockName(b);
    }
    const auto optionalName = [](const auto& v) {
        return v ? nlohmann::json(name(*v)) : nlohmann::json(nullptr);
    };
    return {{"task_a", r.taskA},
            {"task_b", r.taskB},
            {"mode", optionalName(r.mode)},
            {"variant", name(r.variant)},
            {"fisher_task", name(r.fisherTask)},
            {"fisher_estimator", optionalName(r.estimator)},
            {"ema_decay", r.emaDecay},
            {"epsilon", r.regularization.epsilon},
            {"ridge", r.regularization.ridge},
            {"ridge_rel", r.regularization.ridgeRelative},
            {"aggregate", name(r.aggregate)},
            {"grad_scale", name(r.gradScale)},
            {"include_bias", r.includeBias},
            {"nonfinite", name(r.nonFinite)},
            {"precision", name(r.precision)},
            {"layers", r.layers},
            {"heads", r.heads},
            {"blocks", blocks},
            {"samples_a", r.samplesA},
            {"samples_b", r.samplesB},
            {"max_samples", r.maxSamples},
            {"device", r.device},
            {"threads", r.threads},
            {"memory_budget", r.memoryBudget}};
}

} // namespace qkov::engine
