// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/SafeTensors.h"

#include "base/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qkov::model {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t longestHeader = 100'000'000;
constexpr std::size_t mostDims = 16;

/// Bytes per element of the types the format defines; 0: unknown.
std::size_t elementSize(const std::string& type) {
    if (type == "F64" || type == "I64" || type == "U64" || type == "C64") {
        return 8;
    }
    if (type == "F32" || type == "I32" || type == "U32") {
        return 4;
    }
    if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") {
        return 2;
    }
    if (type == "BOOL" || type == "U8" || type == "I8" || type == "F8_E4M3" || type == "F8_E5M2" ||
        type == "F8_E8M0") {
        return 1;
    }
    return 0;
}

std::optional<DType> floatType(const std::string& type) {
    if (type == "F64") {
        return DType::f64;
    }
    if (type == "F32") {
        return DType::f32;
    }
    if (type == "F16") {
        return DType::f16;
    }
    if (type == "BF16") {
        return DType::bf16;
    }
    return std::nullopt;
}

/// Parsed, with a name given twice reported (JSON libraries keep one silently).
Json parseHeader(const char* text, std::size_t length, const std::filesystem::path& file) {
    std::set<std::string> names;
    std::string twice;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::key && depth == 1 &&
            !names.insert(value.get<std::string>()).second) {
            twice = value.get<std::string>();
        }
        return true;
    };
    Json header = Json::parse(text, text + length, watch, false);
    if (!twice.empty()) {
        throw InputError("is listed twice in the header", file, twice);
    }
    if (header.is_discarded() || !header.is_object()) {
        throw InputError("the header is not a JSON object", file, {},
                         "the file is damaged or not a safetensors file");
    }
    return header;
}

std::uint64_t unsignedValue(const Json& value, const std::filesystem::path& file,
                            const std::string& name, const char* what) {
    if (!value.is_number_integer() ||
        (!value.is_number_unsigned() && value.get<std::int64_t>() < 0)) {
        throw InputError(std::string(what) + " is not a non-negative integer", file, name);
    }
    return value.get<std::uint64_t>();
}

} // namespace

SafeTensors::SafeTensors(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        throw InputError(std::string("can't be opened: ") + std::strerror(errno), file);
    }
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        throw InputError("is not a file", file);
    }
    m_size = static_cast<std::size_t>(info.st_size);
    if (m_size < 8) {
        ::close(fd);
        throw InputError("is too short for a safetensors file (" + std::to_string(m_size) +
                             " bytes)",
                         file, {}, "the file is truncated");
    }
    void* map = ::mmap(nullptr, m_size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    ::close(fd);
    if (map == MAP_FAILED) {
        throw InputError(std::string("can't be mapped: ") + std::strerror(error), file);
    }
    m_map = static_cast<const std::byte*>(map);
    try {
        parse(file);
    } catch (...) {
        ::munmap(const_cast<std::byte*>(m_map), m_size);
        throw;
    }
}

SafeTensors::~SafeTensors() {
    ::munmap(const_cast<std::byte*>(m_map), m_size);
}

void SafeTensors::parse(const std::filesystem::path& file) {
    std::uint64_t headerLength = 0;
    for (int i = 7; i >= 0; --i) {
        headerLength = headerLength << 8 | static_cast<std::uint64_t>(m_map[i]);
    }
    if (headerLength > longestHeader) {
        throw InputError("the header claims " + std::to_string(headerLength) +
                             " bytes, more than the format allows (100,000,000)",
                         file);
    }
    if (headerLength > m_size - 8) {
        throw InputError("the header claims " + std::to_string(headerLength) +
                             " bytes, more than the file has (" + std::to_string(m_size) + ")",
                         file, {}, "the file is truncated");
    }
    const std::uint64_t buffer = m_size - 8 - headerLength;
    const std::byte* const start = m_map + 8 + headerLength;
    const Json header = parseHeader(reinterpret_cast<const char*>(m_map + 8), headerLength, file);

    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    for (const auto& [name, entry] : header.items()) {
        if (name == "__metadata__") {
            continue;
        }
        if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
            !entry.contains("data_offsets") || !entry["dtype"].is_string() ||
            !entry["shape"].is_array() || !entry["data_offsets"].is_array()) {
            throw InputError("the header entry lacks dtype, shape or data_offsets", file, name);
        }
        Tensor tensor;
        tensor.name = name;
        tensor.typeName = entry["dtype"].get<std::string>();
        tensor.dtype = floatType(tensor.typeName);
        const std::size_t size = elementSize(tensor.typeName);
        if (size == 0) {
            throw InputError("unknown dtype \"" + tensor.typeName + "\"", file, name);
        }
        if (entry["shape"].size() > mostDims) {
            throw InputError("has " + std::to_string(entry["shape"].size()) + " dimensions", file,
                             name);
        }
        std::uint64_t count = size;
        bool tooLarge = false;
        for (const Json& dim : entry["shape"]) {
            const std::uint64_t d = unsignedValue(dim, file, name, "a dimension");
            tooLarge = tooLarge || d > std::uint64_t(INT64_MAX) ||
                       __builtin_mul_overflow(count, d, &count);
            tensor.shape.push_back(static_cast<std::int64_t>(d));
        }
        // A zero dimension makes the product 0, whatever overflowed before it.
        if (tooLarge &&
            std::find(tensor.shape.begin(), tensor.shape.end(), 0) == tensor.shape.end()) {
            throw InputError("its shape is larger than any memory", file, name);
        }
        if (tooLarge) {
            count = 0;
        }
        const Json& offsets = entry["data_offsets"];
        if (offsets.size() != 2) {
            throw InputError("data_offsets must be two numbers", file, name);
        }
        const std::uint64_t begin = unsignedValue(offsets[0], file, name, "an offset");
        const std::uint64_t end = unsignedValue(offsets[1], file, name, "an offset");
        if (begin > end || end > buffer) {
            throw InputError("lies at bytes " + std::to_string(begin) + " to " +
                                 std::to_string(end) + ", outside the file's " +
                                 std::to_string(buffer) + " bytes of data",
                             file, name, "the file is truncated or damaged");
        }
        if (end - begin != count) {
            throw InputError("has " + std::to_string(end - begin) + " bytes, its shape needs " +
                                 std::to_string(count),
                             file, name);
        }
        tensor.data = start + begin;
        tensor.bytes = static_cast<std::size_t>(count);
        if (count > 0) {
            ranges.emplace_back(begin, end);
        }
        m_tensors.push_back(std::move(tensor));
    }
    std::sort(ranges.begin(), ranges.end());
    std::uint64_t at = 0;
    for (const auto& [begin, end] : ranges) {
        if (begin < at) {
            throw InputError("two tensors overlap at byte " + std::to_string(begin) +
                                 " of the data",
                             file, {}, "the file is damaged");
        }
        if (begin > at) {
            throw InputError("bytes " + std::to_string(at) + " to " + std::to_string(begin) +
                                 " of the data belong to no tensor",
                             file, {}, "the file is damaged");
        }
        at = end;
    }
    if (at != buffer) {
        throw InputError("the data ends at byte " + std::to_string(buffer) +
                             ", the last tensor at byte " + std::to_string(at),
                         file, {}, "the file is damaged");
    }
}

} // namespace qkov::model
