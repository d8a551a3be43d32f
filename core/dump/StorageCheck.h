// SPDX-License-Identifier: GPL-3.0-or-later
// Is every element of a dataset really stored? HDF5 reads zeros, without an error, for chunks
// that were never written and for virtual sources that are missing. Private to core/dump.
#pragma once

#include "dump/Hdf5.h"

namespace qkov::dump {

struct StorageInfo {
    h5::Dims dims;
    bool contiguous = false;        ///< one piece at `offset` of `file`, no filter
    std::filesystem::path file;     ///< the file that really holds the dataset (external links)
    std::uint64_t offset = 0;
    std::uint64_t storedBytes = 0;
    std::size_t chunkBytes = 0;     ///< of one chunk, decompressed; 0: not chunked
    std::vector<std::filesystem::path> sources; ///< of a virtual dataset
};

/// Dims and storage of a dataset. @throws InputError: elements that were never written, virtual
/// sources missing or not covering the dataset, filters this HDF5 lacks, raw external storage
StorageInfo checkStorage(const h5::Object& dataset);

} // namespace qkov::dump
