// SPDX-License-Identifier: GPL-3.0-or-later
#include "results/ReadDatasets.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>

namespace qkov::results {
namespace {

h5::Dims dimsOf(const h5::Object& set) {
    const h5::Lock lock;
    const h5::Handle space(H5Dget_space(set.id()), H5Sclose);
    const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
    if (rank < 0) {
        set.fail("can't be read" + h5::because());
    }
    std::vector<hsize_t> extent(static_cast<std::size_t>(rank));
    H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr);
    h5::Dims dims;
    for (const hsize_t e : extent) {
        dims.push_back(static_cast<std::int64_t>(
            std::min<hsize_t>(e, std::numeric_limits<std::int64_t>::max())));
    }
    return dims;
}

} // namespace

void requireDims(const h5::Object& set, const h5::Dims& expected) {
    const h5::Dims dims = dimsOf(set);
    if (dims != expected) {
        set.fail("has shape " + h5::toString(dims) + ", expected " + h5::toString(expected));
    }
}

void requireClass(const h5::Object& set, H5T_class_t kind, const char* what) {
    const h5::Lock lock;
    const h5::Handle type(H5Dget_type(set.id()), H5Tclose);
    if (!type || H5Tget_class(type.get()) != kind) {
        set.fail(std::string("does not hold ") + what);
    }
}

void requireWritten(const h5::Object& set) {
    const h5::Lock lock;
    const h5::Handle creation(H5Dget_create_plist(set.id()), H5Pclose);
    if (!creation) {
        set.fail("can't be read" + h5::because());
    }
    if (H5Pget_layout(creation.get()) == H5D_VIRTUAL || H5Pget_external_count(creation.get()) > 0) {
        set.fail("keeps its numbers in other files, which a results file can't");
    }
    H5D_space_status_t status = H5D_SPACE_STATUS_ERROR;
    if (H5Dget_space_status(set.id(), &status) < 0) {
        set.fail("can't be read" + h5::because());
    }
    if (status == H5D_SPACE_STATUS_ALLOCATED) {
        return;
    }
    const h5::Handle space(H5Dget_space(set.id()), H5Sclose);
    if (H5Sget_simple_extent_npoints(space.get()) == 0) {
        return;
    }
    float fill = 0;
    H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
    const h5::Handle type(H5Dget_type(set.id()), H5Tclose);
    if (H5Tget_class(type.get()) == H5T_FLOAT &&
        H5Pfill_value_defined(creation.get(), &defined) >= 0 &&
        defined == H5D_FILL_VALUE_USER_DEFINED &&
        H5Pget_fill_value(creation.get(), H5T_NATIVE_FLOAT, &fill) >= 0 && std::isnan(fill)) {
        return;
    }
    set.fail("has parts that were never written", "the program that wrote it was interrupted");
}

std::vector<double> readDoubles(const h5::Object& set, const h5::Dims& dims) {
    requireClass(set, H5T_FLOAT, "floating-point numbers");
    return readNumbers<double>(set, H5T_NATIVE_DOUBLE, dims);
}

std::int64_t lengthOf(const h5::Object& set, std::int64_t limit) {
    const h5::Dims dims = dimsOf(set);
    if (dims.size() != 1) {
        set.fail("has shape " + h5::toString(dims) + ", expected one dimension");
    }
    if (dims[0] > limit) {
        set.fail("has " + std::to_string(dims[0]) + " entries, more than is possible");
    }
    return dims[0];
}

std::vector<std::string> readStrings(const h5::Object& set) {
    requireClass(set, H5T_STRING, "strings");
    const auto n = static_cast<std::size_t>(lengthOf(set, maxSamples));
    const h5::Lock lock;
    std::vector<std::string> out;
    if (n == 0) {
        return out;
    }
    out.reserve(n);
    const h5::Handle type(H5Dget_type(set.id()), H5Tclose);
    const h5::Handle space(H5Dget_space(set.id()), H5Sclose);
    if (H5Tis_variable_str(type.get()) > 0) {
        std::vector<char*> texts(n, nullptr);
        if (H5Dread(set.id(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()) < 0) {
            set.fail("can't be read" + h5::because(), "the file may be damaged");
        }
        for (const char* t : texts) {
            out.emplace_back(t ? t : "");
        }
        H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, texts.data());
        return out;
    }
    const std::size_t width = H5Tget_size(type.get());
    if (width == 0 || width > (std::size_t(1) << 30) / n) {
        set.fail("is too large");
    }
    std::vector<char> buffer(width * n);
    if (H5Dread(set.id(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer.data()) < 0) {
        set.fail("can't be read" + h5::because(), "the file may be damaged");
    }
    const bool spaces = H5Tget_strpad(type.get()) == H5T_STR_SPACEPAD;
    for (std::size_t i = 0; i < n; ++i) {
        const char* text = buffer.data() + i * width;
        std::string s(text, strnlen(text, width));
        while (spaces && !s.empty() && s.back() == ' ') {
            s.pop_back();
        }
        out.push_back(std::move(s));
    }
    return out;
}

std::vector<std::string> readIds(const h5::Object& set) {
    bool integers = false;
    {
        const h5::Lock lock;
        const h5::Handle type(H5Dget_type(set.id()), H5Tclose);
        integers = type && H5Tget_class(type.get()) == H5T_INTEGER;
    }
    std::vector<std::string> ids;
    if (integers) {
        const std::int64_t n = lengthOf(set, maxSamples);
        for (const std::int64_t v : readNumbers<std::int64_t>(set, H5T_NATIVE_INT64, {n})) {
            ids.push_back(std::to_string(v));
        }
    } else {
        ids = readStrings(set);
    }
    std::set<std::string_view> seen;
    for (const std::string& id : ids) {
        if (!seen.insert(id).second) {
            set.fail("holds the id '" + id + "' twice");
        }
    }
    return ids;
}

} // namespace qkov::results
