// SPDX-License-Identifier: GPL-3.0-or-later
// Reading the parts of tokenizer.json with errors that name the key.
#pragma once

#include "text/Regex.h"
#include "text/TokenizerImplementation.h"

#include <stdexcept>

namespace qkov::text {

/// A value inside tokenizer.json with the way to it, for messages.
struct JsonPart {
    const nlohmann::json& value;
    std::filesystem::path file;
    std::string path;

    [[noreturn]] void fail(const std::string& problem) const {
        throw InputError(problem, file, path);
    }
    [[noreturn]] void unknown(const std::string& what) const {
        throw UnknownKind(what, file, path);
    }

    bool isNull() const { return value.is_null(); }
    bool has(const char* key) const {
        return value.is_object() && value.contains(key) && !value[key].is_null();
    }
    /// @throws InputError the key is missing
    JsonPart at(const char* key) const {
        if (!value.is_object() || !value.contains(key))
            fail(std::string("lacks '") + key + "'");
        return {value[key], file, path.empty() ? key : path + "." + key};
    }
    JsonPart at(std::size_t index) const {
        return {value[index], file, path + "[" + std::to_string(index) + "]"};
    }

    std::string string() const {
        if (!value.is_string())
            fail("is not a string");
        return value.get<std::string>();
    }
    bool boolean() const {
        if (!value.is_boolean())
            fail("is not true or false");
        return value.get<bool>();
    }
    std::int32_t id() const {
        if (!value.is_number_integer())
            fail("is not a token id");
        const auto n = value.get<std::int64_t>();
        if (n < 0 || n > 0x7FFFFFFE)
            fail("is not a token id");
        return static_cast<std::int32_t>(n);
    }
    std::size_t arraySize() const {
        if (!value.is_array())
            fail("is not a list");
        return value.size();
    }
    std::string type() const { return at("type").string(); }
    std::string stringOr(const char* key, const char* otherwise) const {
        return has(key) ? at(key).string() : otherwise;
    }
    bool booleanOr(const char* key, bool otherwise) const {
        return has(key) ? at(key).boolean() : otherwise;
    }
};

/// `{"String": …}` or `{"Regex": …}`: what Split and Replace look for.
class Pattern {
  public:
    explicit Pattern(const JsonPart& part);
    std::vector<Match> findAll(std::string_view text) const;

  private:
    std::string m_literal;
    std::shared_ptr<const Regex> m_regex;
};

} // namespace qkov::text
