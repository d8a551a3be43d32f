// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/SampleTable.h"

#include "dump/StorageCheck.h"

#include <cstring>
#include <unordered_map>

namespace qkov::dump {
namespace {

constexpr std::int64_t mostSamples = std::int64_t(1) << 27;
constexpr std::uint64_t mostTextBytes = std::uint64_t(1) << 34;

/// Length of the UTF-8 sequence at `p`, 0 if it is none (overlong, surrogate, out of range).
std::size_t sequenceLength(const unsigned char* p, std::size_t left) {
    const auto continues = [&](std::size_t i) { return i < left && (p[i] & 0xc0u) == 0x80u; };
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return continues(1) ? 2 : 0;
    }
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        const bool bad = !continues(1) || !continues(2) || (p[0] == 0xe0 && p[1] < 0xa0) ||
                         (p[0] == 0xed && p[1] > 0x9f);
        return bad ? 0 : 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        const bool bad = !continues(1) || !continues(2) || !continues(3) ||
                         (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
        return bad ? 0 : 4;
    }
    return 0;
}

std::string cleaned(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
    for (std::size_t i = 0; i < bytes.size();) {
        const std::size_t n = sequenceLength(p + i, bytes.size() - i);
        if (n == 0) {
            out += "\xEF\xBF\xBD";
            ++i;
        } else {
            out.append(bytes.substr(i, n));
            i += n;
        }
    }
    return out;
}

/// [n], really stored. n < 0: any length.
std::int64_t checkColumn(const h5::Object& dataset, std::int64_t n) {
    const StorageInfo info = checkStorage(dataset);
    if (info.dims.size() != 1) {
        dataset.fail("has shape " + h5::toString(info.dims) + ", expected one dimension");
    }
    if (n >= 0 && info.dims[0] != n) {
        dataset.fail("has " + std::to_string(info.dims[0]) + " entries, samples/id has " +
                     std::to_string(n));
    }
    if (info.dims[0] > mostSamples) {
        dataset.fail("has " + std::to_string(info.dims[0]) + " entries, more than " +
                     std::to_string(mostSamples));
    }
    return info.dims[0];
}

H5T_class_t classOf(const h5::Object& dataset, h5::Handle& type) {
    type = h5::Handle(H5Dget_type(dataset.id()), H5Tclose);
    return type ? H5Tget_class(type.get()) : H5T_NO_CLASS;
}

void readAll(const h5::Object& dataset, hid_t type, void* target) {
    if (H5Dread(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, target) < 0) {
        dataset.fail("can't be read" + h5::because(), "the file may be truncated or damaged");
    }
}

std::vector<std::string> idsOf(const h5::Object& dataset, std::int64_t n) {
    h5::Handle type;
    if (classOf(dataset, type) != H5T_INTEGER) {
        return readStrings(dataset);
    }
    std::vector<std::string> ids;
    if (H5Tget_sign(type.get()) == H5T_SGN_NONE) {
        std::vector<std::uint64_t> values(static_cast<std::size_t>(n));
        readAll(dataset, H5T_NATIVE_UINT64, values.data());
        for (const auto v : values) {
            ids.push_back(std::to_string(v));
        }
    } else {
        std::vector<std::int64_t> values(static_cast<std::size_t>(n));
        readAll(dataset, H5T_NATIVE_INT64, values.data());
        for (const auto v : values) {
            ids.push_back(std::to_string(v));
        }
    }
    return ids;
}

} // namespace

bool isUtf8(const std::string& text) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t n = sequenceLength(p + i, text.size() - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

std::vector<std::string> readStrings(const h5::Object& dataset) {
    const h5::Lock lock;
    const auto n = static_cast<std::size_t>(checkColumn(dataset, -1));
    h5::Handle type;
    if (classOf(dataset, type) != H5T_STRING) {
        dataset.fail("does not hold strings");
    }
    std::vector<std::string> out;
    if (n == 0) {
        return out;
    }
    out.reserve(n);
    if (H5Tis_variable_str(type.get()) > 0) {
        std::vector<char*> pointers(n, nullptr);
        const h5::Handle space(H5Dget_space(dataset.id()), H5Sclose);
        readAll(dataset, type.get(), pointers.data());
        for (const char* p : pointers) {
            out.push_back(p ? cleaned(p) : std::string());
        }
        H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
        return out;
    }
    const std::size_t size = H5Tget_size(type.get());
    if (size == 0 || size > mostTextBytes / n) {
        dataset.fail("its strings are too long");
    }
    std::vector<char> buffer(n * size);
    readAll(dataset, type.get(), buffer.data());
    const bool spaces = H5Tget_strpad(type.get()) == H5T_STR_SPACEPAD;
    for (std::size_t i = 0; i < n; ++i) {
        const char* text = buffer.data() + i * size;
        std::size_t length = strnlen(text, size);
        while (spaces && length > 0 && text[length - 1] == ' ') {
            --length;
        }
        out.push_back(cleaned({text, length}));
    }
    return out;
}

std::vector<std::int32_t> readIntegers(const h5::Object& dataset, std::int64_t n,
                                       std::int32_t lowest, std::int32_t highest) {
    const h5::Lock lock;
    checkColumn(dataset, n);
    h5::Handle type;
    if (classOf(dataset, type) != H5T_INTEGER) {
        dataset.fail("does not hold integers");
    }
    std::vector<std::int64_t> wide(static_cast<std::size_t>(n));
    if (n > 0) {
        readAll(dataset, H5T_NATIVE_INT64, wide.data());
    }
    std::vector<std::int32_t> values;
    values.reserve(wide.size());
    for (std::size_t i = 0; i < wide.size(); ++i) {
        if (wide[i] < lowest || wide[i] > highest) {
            dataset.fail("entry " + std::to_string(i) + " is " + std::to_string(wide[i]) +
                         ", expected " + std::to_string(lowest) + " to " + std::to_string(highest));
        }
        values.push_back(static_cast<std::int32_t>(wide[i]));
    }
    return values;
}

std::vector<SampleInfo> readSamples(const h5::Object& samples, const Attempt& attempt) {
    const h5::Lock lock;
    const h5::Object idSet = samples.dataset("id");
    const std::int64_t n = checkColumn(idSet, -1);
    if (n == 0) {
        idSet.fail("is empty: the task has no samples");
    }
    const std::vector<std::string> ids = idsOf(idSet, n);
    std::vector<SampleInfo> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i].id = ids[i];
    }
    attempt([&] {
        std::unordered_map<std::string, std::size_t> seen;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const auto [it, fresh] = seen.emplace(ids[i], i);
            if (!fresh) {
                idSet.fail("\"" + ids[i] + "\" is the id of samples " + std::to_string(it->second) +
                           " and " + std::to_string(i));
            }
        }
    });
    /// `read` gets the column, if there is one, after its length was checked.
    const auto column = [&](const char* name,
                            const std::function<void(const h5::Object& set)>& read) {
        attempt([&] {
            if (const auto set = samples.findDataset(name)) {
                checkColumn(*set, n);
                read(*set);
            }
        });
    };
    const auto text = [&](const char* name, std::string SampleInfo::*member) {
        column(name, [&](const h5::Object& set) {
            auto values = readStrings(set);
            for (std::size_t i = 0; i < out.size(); ++i) {
                out[i].*member = std::move(values[i]);
            }
        });
    };
    text("text", &SampleInfo::text);
    text("group", &SampleInfo::group);
    column("n_tokens", [&](const h5::Object& set) {
        const auto counts = readIntegers(set, n, 0, INT32_MAX);
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i].tokens = counts[i];
        }
    });
    column("loss", [&](const h5::Object& set) {
        h5::Handle type;
        const H5T_class_t kind = classOf(set, type);
        if (kind != H5T_FLOAT && kind != H5T_INTEGER) {
            set.fail("does not hold numbers");
        }
        std::vector<float> losses(out.size());
        readAll(set, H5T_NATIVE_FLOAT, losses.data());
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i].loss = losses[i];
        }
    });
    column("tokens", [](const h5::Object&) {});
    return out;
}

} // namespace qkov::dump
