// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/ImportStore.h"

#include "base/Error.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qkov::dump {

RawFile::RawFile(const std::filesystem::path& file)
    : m_file(file)
    // A pipe would be waited for.
    , m_fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (m_fd < 0) {
        throw InputError(std::string("can't be read: ") + std::strerror(errno), file);
    }
    if (::fstat(m_fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(m_fd);
        throw InputError("is not a regular file", file);
    }
    m_bytes = static_cast<std::uint64_t>(status.st_size);
}

RawFile::~RawFile() {
    if (m_fd >= 0) {
        ::close(m_fd);
    }
}

RawFile::RawFile(RawFile&& other) noexcept
    : m_file(std::move(other.m_file))
    , m_fd(std::exchange(other.m_fd, -1))
    , m_bytes(other.m_bytes) {}

void RawFile::read(std::uint64_t offset, std::size_t count, void* target) const {
    auto* to = static_cast<char*>(target);
    std::size_t done = 0;
    while (done < count) {
        const ssize_t n = ::pread(m_fd, to + done, count - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            throw InputError(n < 0 ? std::string("can't be read: ") + std::strerror(errno)
                                   : "ends at byte " + std::to_string(m_bytes) + ", before byte " +
                                         std::to_string(offset + count),
                             m_file, {}, "the file may be truncated");
        }
        done += static_cast<std::size_t>(n);
    }
}

std::string readText(const std::filesystem::path& file, std::uint64_t limit) {
    const RawFile raw(file);
    if (raw.bytes() > limit) {
        throw InputError("is larger than " + std::to_string(limit) + " bytes", file);
    }
    std::string text(raw.bytes(), '\0');
    raw.read(0, text.size(), text.data());
    return text;
}

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

bool isThere(const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::exists(std::filesystem::symlink_status(file, ignored));
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
