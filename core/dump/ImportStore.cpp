// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/ImportStore.h"

#include "base/Error.h"

#include <cmath>
#include <set>

namespace qkov::dump {

std::vector<std::filesystem::path> filesOf(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    std::error_code error;
    std::filesystem::directory_iterator it(folder, error);
    for (const std::filesystem::directory_iterator end; !error && it != end; it.increment(error)) {
        std::error_code ignored;
        if (std::filesystem::is_regular_file(it->path(), ignored)) {
            files.push_back(it->path());
        }
    }
    return files;
}

nlohmann::ordered_json
parseStoreJson(const std::string& text, const std::filesystem::path& file,
               const std::function<void(const nlohmann::ordered_json&)>& entry) {
    using json = nlohmann::ordered_json;
    constexpr int deepest = 16;
    std::vector<std::set<std::string>> keys;
    std::size_t entries = 0;
    const auto look = [&](int depth, json::parse_event_t event, json& value) {
        using Event = json::parse_event_t;
        if (depth > deepest) {
            throw InputError("is nested too deeply", file);
        }
        if (event == Event::object_start) {
            if (entry && depth == 0) {
                throw InputError("is not a JSON list", file);
            }
            keys.emplace_back();
        } else if (event == Event::object_end) {
            keys.pop_back();
        } else if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
            throw InputError("has the key '" + value.get<std::string>() + "' twice", file);
        }
        const bool whole =
            event == Event::object_end || event == Event::array_end || event == Event::value;
        if (!entry || !whole || depth > 1) {
            return true;
        }
        if (depth == 0) {
            if (event != Event::array_end) {
                throw InputError("is not a JSON list", file);
            }
            return true;
        }
        try {
            entry(value);
        } catch (const json::exception&) {
            throw InputError("is not a valid entry", file, "[" + std::to_string(entries) + "]");
        }
        ++entries;
        return false;
    };
    json parsed = json::parse(text, look, false);
    if (parsed.is_discarded()) {
        throw InputError("is not valid JSON", file, {}, "the file may be truncated");
    }
    return parsed;
}

std::optional<std::int64_t> wholeNumber(const nlohmann::ordered_json& value, std::int64_t limit) {
    if (!value.is_number_integer()) {
        return {};
    }
    if (value.is_number_unsigned()) {
        const auto n = value.get<std::uint64_t>();
        return n <= static_cast<std::uint64_t>(limit) ? std::optional(static_cast<std::int64_t>(n))
                                                      : std::nullopt;
    }
    const auto n = value.get<std::int64_t>();
    return n >= 0 && n <= limit ? std::optional(n) : std::nullopt;
}

void convertStored(const void* source, DType type, std::size_t n, float* target,
                   const std::filesystem::path& file) {
    convertToFloat(source, type, n, target);
    if (type != DType::f64) {
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (std::isinf(target[i])) {
            double value = 0;
            std::memcpy(&value, static_cast<const char*>(source) + i * sizeof value, sizeof value);
            if (std::isfinite(value)) {
                throw InputError("holds " + std::to_string(value) + ", too large for float32",
                                 file);
            }
        }
    }
}

DType numpyDType(const std::string& name, const std::filesystem::path& file,
                 const std::string& where) {
    for (const DType t : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
        if (name == dtypeName(t)) {
            return t;
        }
    }
    throw InputError("has the type '" + name +
                         "'; float16, bfloat16, float32 and float64 can be read",
                     file, where);
}

} // namespace qkov::dump
