// SPDX-License-Identifier: GPL-3.0-or-later
// config.json with errors that name the key. Private to core/collect.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace qkov::collect {

/// Keys with the same meaning are tried in order ("n_embd", "hidden_size"); null counts as absent.
class ConfigReader {
  public:
    using Keys = std::vector<std::string>;

    /// @throws InputError not JSON, not an object
    ConfigReader(const std::string& text, std::filesystem::path file);

    [[noreturn]] void fail(const std::string& key, const std::string& problem,
                           const std::string& advice = {}) const;
    bool has(const std::string& key) const;
    const nlohmann::json& object() const { return m_json; }
    /// The object under `key`, or an empty one. Errors inside it name "key.inner".
    ConfigReader inside(const std::string& key) const;

    /// A size in 1 … 2^31 − 1. Without a default, an absent key is an error.
    std::int64_t size(const Keys& keys) const;
    std::int64_t size(const Keys& keys, std::int64_t otherwise) const;
    double number(const Keys& keys) const;
    double number(const Keys& keys, double otherwise) const;
    bool flag(const std::string& key, bool otherwise) const;
    std::string text(const Keys& keys, const std::string& otherwise) const;
    std::vector<double> numbers(const std::string& key, std::size_t count) const;

  private:
    ConfigReader(nlohmann::json object, std::filesystem::path file, std::string prefix);
    const nlohmann::json* find(const Keys& keys, std::string& found) const;

    nlohmann::json m_json;
    std::filesystem::path m_file;
    std::string m_prefix;
};

} // namespace qkov::collect
