// SPDX-License-Identifier: GPL-3.0-or-later
// Datasets of a results file as vectors, their kind, shape and size checked before memory is taken.
// Internal to core/results. All throw InputError naming the dataset.
#pragma once

#include "dump/Hdf5.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qkov::results {

// Larger than any selection; keeps a hostile file from asking for memory.
constexpr std::int64_t maxSamples = std::int64_t(1) << 24;

void requireDims(const h5::Object& set, const h5::Dims& expected);
void requireClass(const h5::Object& set, H5T_class_t kind, const char* what);
/// HDF5 reads what was never written as its fill value, without an error. NaN is what a results
/// file means by it; anything else would be an invented number.
void requireWritten(const h5::Object& set);

template <class T>
std::vector<T> readNumbers(const h5::Object& set, hid_t memoryType, const h5::Dims& dims) {
    requireDims(set, dims);
    requireWritten(set);
    const h5::Lock lock;
    std::vector<T> values(static_cast<std::size_t>(h5::product(dims)));
    if (!values.empty() &&
        H5Dread(set.id(), memoryType, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
        set.fail("can't be read" + h5::because(), "the file may be damaged");
    }
    return values;
}

std::vector<double> readDoubles(const h5::Object& set, const h5::Dims& dims);
/// A list of at most `limit` entries; its length.
std::int64_t lengthOf(const h5::Object& set, std::int64_t limit);
std::vector<std::string> readStrings(const h5::Object& set);
/// Ids are strings, or integers as some writers have them; all different.
std::vector<std::string> readIds(const h5::Object& set);

} // namespace qkov::results
