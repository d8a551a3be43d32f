// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Samples.h"

#include "base/Error.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace qkov::collect {
namespace {

using nlohmann::json;

/// Everything that can be wrong with one line, said with its place.
class Line {
  public:
    Line(const std::filesystem::path& file, std::int64_t number)
        : m_file(file)
        , m_number(number) {}

    std::int64_t number() const { return m_number; }
    [[noreturn]] void fail(const std::string& problem, const std::string& advice = {}) const {
        throw InputError(problem, m_file, "line " + std::to_string(m_number), advice);
    }

    std::string optionalText(const json& object, const char* key) const {
        const auto it = object.find(key);
        if (it == object.end() || it->is_null()) {
            return {};
        }
        if (it->is_string()) {
            return it->get<std::string>();
        }
        if (it->is_number_integer()) {
            return it->dump();
        }
        fail(std::string(key) + " is neither a string nor an integer");
    }

    std::vector<std::int32_t> integers(const json& array, const char* key) const {
        if (!array.is_array()) {
            fail(std::string(key) + " is not a list of integers");
        }
        std::vector<std::int32_t> values;
        values.reserve(array.size());
        for (std::size_t i = 0; i < array.size(); ++i) {
            const json& item = array[i];
            const bool whole = item.is_number_integer();
            const bool huge = item.is_number_unsigned() && item.get<std::uint64_t>() > INT32_MAX;
            const std::int64_t v = whole && !huge ? item.get<std::int64_t>() : 0;
            if (!whole || huge || v > INT32_MAX || v < INT32_MIN) {
                fail(std::string(key) + "[" + std::to_string(i) + "] is " + item.dump() +
                     ", not a token id");
            }
            values.push_back(static_cast<std::int32_t>(v));
        }
        return values;
    }

  private:
    const std::filesystem::path& m_file;
    std::int64_t m_number;
};

void checkTokens(const Line& line, const Sample& sample, const SampleRules& rules, bool own) {
    const auto outside = [&](std::int32_t v) { return v < 0 || v >= rules.vocabulary; };
    for (std::size_t i = 0; i < sample.ids.size(); ++i) {
        if (outside(sample.ids[i])) {
            line.fail("input_ids[" + std::to_string(i) + "] is " + std::to_string(sample.ids[i]) +
                          ", the model's vocabulary has " + std::to_string(rules.vocabulary) +
                          " tokens",
                      own ? "" : "the tokenizer and the model don't belong together");
        }
    }
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
        if (sample.labels[i] != ignoredLabel && outside(sample.labels[i])) {
            line.fail("labels[" + std::to_string(i) + "] is " + std::to_string(sample.labels[i]) +
                          ", the model's vocabulary has " + std::to_string(rules.vocabulary) +
                          " tokens",
                      "use -100 for positions that are not predicted");
        }
    }
}

Sample parse(const Line& line, const std::string& text, const SampleRules& rules) {
    json object;
    try {
        object = json::parse(text);
    } catch (const json::exception& e) {
        std::string why = e.what(); // "[json.exception.…] parse error at line 1, column 7: …"
        if (const auto column = why.find("column "); column != std::string::npos) {
            why = why.substr(column);
        }
        line.fail("is not valid JSON (" + why + ")");
    }
    if (!object.is_object()) {
        line.fail("is not a JSON object");
    }
    Sample sample;
    sample.id = line.optionalText(object, "id");
    if (!object.contains("id") || object["id"].is_null()) {
        sample.id = std::to_string(line.number());
    } else if (sample.id.empty()) {
        line.fail("the id is empty");
    }
    sample.text = line.optionalText(object, "text");
    sample.group = line.optionalText(object, "group");

    const auto ids = object.find("input_ids");
    const bool own = ids != object.end() && !ids->is_null();
    if (own) {
        sample.ids = line.integers(*ids, "input_ids");
        if (sample.ids.empty()) {
            line.fail("input_ids is empty");
        }
    } else {
        if (sample.text.empty()) {
            line.fail("has neither text nor input_ids");
        }
        if (!rules.tokenize) {
            line.fail("has no input_ids, and this model's tokenizer can't be used",
                      "add input_ids to every line");
        }
        try {
            sample.ids = rules.tokenize(sample.text);
        } catch (const InputError& e) {
            line.fail("text: " + e.problem(), e.advice());
        }
        if (sample.ids.empty()) {
            line.fail("text has no tokens");
        }
    }
    const auto labels = object.find("labels");
    if (labels != object.end() && !labels->is_null()) {
        sample.labels = line.integers(*labels, "labels");
        if (sample.labels.size() != sample.ids.size()) {
            line.fail("has " + std::to_string(sample.labels.size()) + " labels for " +
                      std::to_string(sample.ids.size()) + " tokens");
        }
    } else {
        sample.labels = sample.ids;
    }
    checkTokens(line, sample, rules, own);

    if (rules.maxTokens > 0 && static_cast<std::int64_t>(sample.ids.size()) > rules.maxTokens) {
        sample.truncated = true;
        sample.ids.resize(static_cast<std::size_t>(rules.maxTokens));
        sample.labels.resize(static_cast<std::size_t>(rules.maxTokens));
    }
    for (std::size_t t = 1; t < sample.labels.size(); ++t) {
        sample.predicted += sample.labels[t] != ignoredLabel;
    }
    if (sample.predicted == 0) {
        const std::string cut =
            sample.truncated ? " in its first " + std::to_string(rules.maxTokens) + " tokens" : "";
        line.fail(
            "has no token to predict" + cut,
            "a sample needs at least two tokens, and a label other than -100 behind the first");
    }
    return sample;
}

} // namespace

std::vector<Sample> readSamples(const std::filesystem::path& file, const SampleRules& rules) {
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) {
        throw InputError("is a folder, expected a JSON Lines file", file);
    }
    std::ifstream in(file, std::ios::binary);
    if (!in) {
        throw InputError("can't be read", file, {}, "check the path");
    }
    std::vector<Sample> samples;
    std::unordered_map<std::string, std::int64_t> seen;
    std::string text;
    for (std::int64_t number = 1; std::getline(in, text); ++number) {
        if (number == 1 && text.starts_with("\xef\xbb\xbf")) {
            text.erase(0, 3);
        }
        if (text.find_first_not_of(" \t\r") == std::string::npos) {
            continue;
        }
        if (rules.maxSamples > 0 && static_cast<std::int64_t>(samples.size()) >= rules.maxSamples) {
            break;
        }
        const Line line(file, number);
        Sample sample = parse(line, text, rules);
        const auto [earlier, fresh] = seen.emplace(sample.id, number);
        if (!fresh) {
            line.fail("id \"" + sample.id + "\" was already used in line " +
                          std::to_string(earlier->second),
                      "ids must be unique");
        }
        samples.push_back(std::move(sample));
    }
    if (in.bad()) {
        throw InputError("can't be read to its end", file);
    }
    if (samples.empty()) {
        throw InputError("holds no samples", file);
    }
    return samples;
}

} // namespace qkov::collect
