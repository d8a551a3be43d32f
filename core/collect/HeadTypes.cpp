// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/HeadTypes.h"

#include "base/Error.h"
#include "base/RawFile.h"
#include "collect/Samples.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

namespace qkov::collect {

std::vector<std::string> headTypeNames() {
    return {"previous_token", "same_token", "induction", "positional", "content", "mixed"};
}

HeadType assignHeadType(const std::array<double, 5>& scores, const HeadTypeRules& rules) {
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    const double best = scores[order[0]], second = scores[order[1]];
    if (best >= rules.threshold && best - second >= rules.margin) {
        return static_cast<HeadType>(order[0]);
    }
    if (second >= rules.threshold) {
        return HeadType::mixed;
    }
    return scores[4] >= rules.threshold ? HeadType::content : HeadType::mixed;
}

Probe randomProbe(std::int64_t vocabulary, const std::vector<std::int32_t>& special,
                  std::int64_t maxPositions, const ProbeOptions& options) {
    const std::set<std::int32_t> excluded(special.begin(), special.end());
    std::vector<std::int32_t> tokens;
    for (std::int64_t t = 0; t < vocabulary; ++t) {
        if (!excluded.contains(static_cast<std::int32_t>(t))) {
            tokens.push_back(static_cast<std::int32_t>(t));
        }
    }
    const std::int64_t half =
        maxPositions > 0 ? std::min(options.half, maxPositions / 2) : options.half;
    if (tokens.size() < 2 || half < 3) {
        throw InputError(
            "the model's vocabulary or positions are too few for a probe of its heads");
    }
    std::mt19937_64 random(options.seed);
    Probe probe;
    for (std::int64_t s = 0; s < options.sequences; ++s) {
        std::vector<std::int32_t> sequence;
        for (std::int64_t i = 0; i < half; ++i) {
            // Not uniform_int_distribution, whose draws differ between standard libraries; the
            // bias of the remainder is below 2^-40.
            sequence.push_back(tokens[random() % tokens.size()]);
        }
        sequence.insert(sequence.end(), sequence.begin(), sequence.begin() + half);
        probe.push_back(std::move(sequence));
    }
    return probe;
}

Probe readProbe(const std::filesystem::path& file, std::int64_t vocabulary,
                std::int64_t maxPositions) {
    SampleRules rules;
    rules.vocabulary = vocabulary;
    Probe probe;
    std::map<std::size_t, int> lengths;
    for (Sample& s : readSamples(file, rules)) {
        const auto half = static_cast<std::ptrdiff_t>(s.ids.size() / 2);
        if (s.ids.size() % 2 != 0 || half < 3 ||
            !std::equal(s.ids.begin(), s.ids.begin() + half, s.ids.begin() + half)) {
            throw InputError("is not a sequence of at least 3 tokens written twice", file,
                             "sample " + s.id);
        }
        if (maxPositions > 0 && static_cast<std::int64_t>(s.ids.size()) > maxPositions) {
            throw InputError("has more tokens than the model's " + std::to_string(maxPositions) +
                                 " positions",
                             file, "sample " + s.id);
        }
        ++lengths[s.ids.size()];
        probe.push_back(std::move(s.ids));
    }
    if (std::none_of(lengths.begin(), lengths.end(), [](const auto& l) { return l.second > 1; })) {
        throw InputError("has no two sequences of the same length", file, {},
                         "content heads are told by comparing two");
    }
    return probe;
}

std::vector<std::int32_t> specialTokens(const std::string& configJson,
                                        const std::filesystem::path& modelDirectory) {
    using nlohmann::json;
    std::set<std::int32_t> ids;
    const auto add = [&](const json& value) {
        if (value.is_number_integer() && value >= 0 && value <= INT32_MAX) {
            ids.insert(value.get<std::int32_t>());
        }
    };
    const json config = json::parse(configJson, nullptr, false);
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id",
                            "sep_token_id", "cls_token_id", "mask_token_id"}) {
        if (!config.is_object() || !config.contains(key)) {
            continue;
        }
        if (config[key].is_array()) {
            std::for_each(config[key].begin(), config[key].end(), add);
        } else {
            add(config[key]);
        }
    }
    const auto tokenizerConfig = modelDirectory / "tokenizer_config.json";
    const json tokenizer = isThere(tokenizerConfig)
                               ? json::parse(readText(tokenizerConfig, largestText), nullptr, false)
                               : json();
    if (tokenizer.is_object() && tokenizer.contains("added_tokens_decoder") &&
        tokenizer["added_tokens_decoder"].is_object()) {
        for (const auto& [key, value] : tokenizer["added_tokens_decoder"].items()) {
            if (value.is_object() && value.value("special", json(false)) == json(true)) {
                add(json::parse(key, nullptr, false));
            }
        }
    }
    return {ids.begin(), ids.end()};
}

} // namespace qkov::collect
