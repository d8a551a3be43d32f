// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/ConfigReader.h"

#include "base/Error.h"

#include <cmath>
#include <utility>

namespace qkov::collect {

using nlohmann::json;

ConfigReader::ConfigReader(const std::string& text, std::filesystem::path file)
    : m_file(std::move(file)) {
    m_json = json::parse(text, nullptr, false);
    if (!m_json.is_object()) {
        throw InputError("is not a JSON object", m_file);
    }
}

ConfigReader::ConfigReader(json object, std::filesystem::path file, std::string prefix)
    : m_json(std::move(object))
    , m_file(std::move(file))
    , m_prefix(std::move(prefix)) {}

void ConfigReader::fail(const std::string& key, const std::string& problem,
                        const std::string& advice) const {
    throw InputError(problem, m_file, m_prefix + key, advice);
}

bool ConfigReader::has(const std::string& key) const {
    const auto it = m_json.find(key);
    return it != m_json.end() && !it->is_null();
}

ConfigReader ConfigReader::inside(const std::string& key) const {
    if (!has(key)) {
        return ConfigReader(json::object(), m_file, m_prefix + key + ".");
    }
    if (!m_json[key].is_object()) {
        fail(key, "is not an object");
    }
    return ConfigReader(m_json[key], m_file, m_prefix + key + ".");
}

const json* ConfigReader::find(const Keys& keys, std::string& found) const {
    for (const std::string& key : keys) {
        if (has(key)) {
            found = key;
            return &m_json.at(key);
        }
    }
    return nullptr;
}

std::int64_t ConfigReader::size(const Keys& keys) const {
    std::string key;
    const json* value = find(keys, key);
    if (!value) {
        fail(keys.front(), "is missing");
    }
    const bool fits = value->is_number_integer() &&
                      !(value->is_number_unsigned() && value->get<std::uint64_t>() > INT32_MAX);
    const std::int64_t number = fits ? value->get<std::int64_t>() : 0;
    if (number < 1 || number > INT32_MAX) {
        fail(key, "is " + value->dump() + ", expected a positive integer");
    }
    return number;
}

std::int64_t ConfigReader::size(const Keys& keys, std::int64_t otherwise) const {
    std::string key;
    return find(keys, key) ? size(keys) : otherwise;
}

double ConfigReader::number(const Keys& keys) const {
    std::string key;
    const json* value = find(keys, key);
    if (!value) {
        fail(keys.front(), "is missing");
    }
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
        fail(key, "is " + value->dump() + ", expected a number");
    }
    return value->get<double>();
}

double ConfigReader::number(const Keys& keys, double otherwise) const {
    std::string key;
    return find(keys, key) ? number(keys) : otherwise;
}

bool ConfigReader::flag(const std::string& key, bool otherwise) const {
    if (!has(key)) {
        return otherwise;
    }
    if (!m_json[key].is_boolean()) {
        fail(key, "is " + m_json[key].dump() + ", expected true or false");
    }
    return m_json[key].get<bool>();
}

std::string ConfigReader::text(const Keys& keys, const std::string& otherwise) const {
    std::string key;
    const json* value = find(keys, key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_string()) {
        fail(key, "is " + value->dump() + ", expected a string");
    }
    return value->get<std::string>();
}

std::vector<double> ConfigReader::numbers(const std::string& key, std::size_t count) const {
    if (!has(key)) {
        fail(key, "is missing");
    }
    const json& list = m_json[key];
    if (!list.is_array() || list.size() != count) {
        fail(key, "is not a list of " + std::to_string(count) + " numbers");
    }
    std::vector<double> values;
    for (const json& item : list) {
        if (!item.is_number()) {
            fail(key, "is not a list of " + std::to_string(count) + " numbers");
        }
        values.push_back(item.get<double>());
    }
    return values;
}

} // namespace qkov::collect
