// SPDX-License-Identifier: GPL-3.0-or-later
// The floating types of dumps as HDF5 knows them. Private to core/dump.
#pragma once

#include "base/DType.h"
#include "dump/Hdf5.h"

namespace qkov::dump {

/// Little-endian; bfloat16 is an unsigned 16-bit integer (with the attribute dtype = "bfloat16").
h5::Handle storedType(DType type);

/// What a dataset's numbers are.
struct FloatLayout {
    DType dtype = DType::f32;
    bool bigEndian = false;
};
/// @throws InputError naming the dataset: integers, strings, or floats of an unknown make
FloatLayout floatLayout(const h5::Object& dataset);

/// Creates a contiguous dataset of floats (bfloat16 gets its attribute).
h5::Object createFloats(const h5::Object& parent, const std::string& name, DType type,
                        const h5::Dims& dims);

} // namespace qkov::dump
