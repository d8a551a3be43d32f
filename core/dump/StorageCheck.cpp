// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/StorageCheck.h"

#include <algorithm>
#include <map>

namespace qkov::dump {
namespace {

namespace fs = std::filesystem;

constexpr int deepestVirtual = 8;
constexpr std::size_t mostMappings = 1 << 20;

StorageInfo inspect(const h5::Object& dataset, int depth);

h5::Dims dimsOf(const h5::Object& dataset) {
    const h5::Handle space(H5Dget_space(dataset.id()), H5Sclose);
    const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
    if (rank < 0 || H5Sget_simple_extent_type(space.get()) == H5S_NULL) {
        dataset.fail("its shape can't be read" + h5::because());
    }
    std::vector<hsize_t> extent(static_cast<std::size_t>(rank));
    H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr);
    h5::Dims dims;
    for (const hsize_t e : extent) {
        if (e > hsize_t(INT64_MAX)) {
            dataset.fail("is larger than any memory");
        }
        dims.push_back(static_cast<std::int64_t>(e));
    }
    return dims;
}

std::string fileOf(const h5::Object& dataset) {
    const ssize_t length = H5Fget_name(dataset.id(), nullptr, 0);
    if (length <= 0) {
        return dataset.file().string();
    }
    std::string name(static_cast<std::size_t>(length), '\0');
    H5Fget_name(dataset.id(), name.data(), name.size() + 1);
    return name;
}

void checkFilters(const h5::Object& dataset, hid_t creation) {
    const int n = H5Pget_nfilters(creation);
    for (int i = 0; i < n; ++i) {
        unsigned flags = 0;
        unsigned config = 0;
        std::size_t values = 0;
        char name[64] = {};
        const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags,
                                                   &values, nullptr, sizeof name, name, &config);
        if (filter < 0 || H5Zfilter_avail(filter) <= 0) {
            dataset.fail("is compressed with the filter " + std::to_string(filter) + " \"" + name +
                             "\", which this HDF5 can't read",
                         "install the filter's plugin, or repack the file with gzip");
        }
    }
}

void checkChunks(const h5::Object& dataset, hid_t creation, StorageInfo& info,
                 std::size_t elementBytes) {
    std::vector<hsize_t> chunk(info.dims.size());
    if (H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()) !=
        static_cast<int>(chunk.size())) {
        dataset.fail("its chunks can't be read" + h5::because());
    }
    std::int64_t expected = 1;
    std::uint64_t bytes = elementBytes;
    for (std::size_t i = 0; i < chunk.size(); ++i) {
        if (chunk[i] == 0 || chunk[i] > hsize_t(INT64_MAX)) {
            dataset.fail("its chunks have no size");
        }
        const auto c = static_cast<std::int64_t>(chunk[i]);
        if (__builtin_mul_overflow(expected, (info.dims[i] - 1) / c + 1, &expected) ||
            __builtin_mul_overflow(bytes, chunk[i], &bytes)) {
            dataset.fail("is larger than any memory");
        }
    }
    info.chunkBytes = static_cast<std::size_t>(bytes);
#if H5_VERSION_GE(1, 10, 5)
    const h5::Handle space(H5Dget_space(dataset.id()), H5Sclose);
    hsize_t stored = 0;
    if (H5Dget_num_chunks(dataset.id(), space.get(), &stored) < 0) {
        dataset.fail("its chunks can't be read" + h5::because());
    }
    if (stored < static_cast<hsize_t>(expected)) {
        dataset.fail(std::to_string(static_cast<hsize_t>(expected) - stored) + " of " +
                         std::to_string(expected) + " chunks were never written",
                     "the program that wrote it stopped too early");
    }
#else
    if (info.storedBytes == 0) {
        dataset.fail("was never written", "the program that wrote it stopped too early");
    }
#endif
}

/// Where HDF5 will look for a virtual source: beside the file first.
fs::path sourcePath(const fs::path& holder, const std::string& name) {
    std::error_code ignored;
    const fs::path given(name);
    if (given.is_absolute() && fs::exists(given, ignored)) {
        return given;
    }
    const fs::path folder = holder.parent_path();
    const fs::path beside = folder / (given.is_absolute() ? given.filename() : given);
    return fs::exists(beside, ignored) ? beside : fs::path();
}

template <class Get>
std::string nameFrom(const h5::Object& dataset, Get get) {
    const ssize_t length = get(nullptr, std::size_t(0));
    if (length < 0) {
        dataset.fail("its virtual sources can't be read" + h5::because());
    }
    std::string name(static_cast<std::size_t>(length), '\0');
    get(name.data(), name.size() + 1);
    return name;
}

/// The dataset at an absolute path, link by link, so that a complaint names it.
h5::Object openPath(const h5::Object& root, const std::string& path) {
    std::size_t at = 0;
    std::optional<h5::Object> here;
    while (at < path.size()) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) {
            here = (here ? *here : root).open(path.substr(at, end - at));
        }
        at = end + 1;
    }
    if (!here || !here->isDataset()) {
        root.fail("\"" + path + "\" is not a dataset");
    }
    return std::move(*here);
}

void checkMapping(const h5::Object& dataset, const h5::Object& source, hid_t selection,
                  std::int64_t points, int depth, StorageInfo& info) {
    const StorageInfo from = inspect(source, depth + 1);
    const auto rank = from.dims.size();
    // The mapping was made for a source of some shape; HDF5 fills up with zeros if it shrank since.
    // (A selection of everything is stored without that shape; its number of elements is known.)
    std::vector<hsize_t> low(rank + 1), high(rank + 1);
    bool fits = true;
    if (H5Sget_select_type(selection) == H5S_SEL_ALL) {
        fits = points == h5::product(from.dims);
    } else {
        fits = H5Sget_simple_extent_ndims(selection) == static_cast<int>(rank) &&
               H5Sget_select_bounds(selection, low.data(), high.data()) >= 0;
        for (std::size_t i = 0; fits && i < rank; ++i) {
            fits = high[i] < static_cast<hsize_t>(from.dims[i]);
        }
    }
    if (!fits) {
        dataset.fail("its virtual source " + source.path() + " in " + source.file().string() +
                     " has the shape " + h5::toString(from.dims) + ", another was expected");
    }
    info.storedBytes += from.storedBytes;
    info.sources.insert(info.sources.end(), from.sources.begin(), from.sources.end());
}

void checkVirtual(const h5::Object& dataset, hid_t creation, int depth, StorageInfo& info) {
    if (depth >= deepestVirtual) {
        dataset.fail("its virtual sources are nested too deeply");
    }
    std::size_t mappings = 0;
    if (H5Pget_virtual_count(creation, &mappings) < 0 || mappings > mostMappings) {
        dataset.fail("its virtual sources can't be read" + h5::because());
    }
    std::int64_t covered = 0;
    std::map<std::string, h5::Object> roots;
    for (std::size_t i = 0; i < mappings; ++i) {
        const h5::Handle to(H5Pget_virtual_vspace(creation, i), H5Sclose);
        const h5::Handle from(H5Pget_virtual_srcspace(creation, i), H5Sclose);
        const std::string fileName = nameFrom(dataset, [&](char* text, std::size_t size) {
            return H5Pget_virtual_filename(creation, i, text, size);
        });
        const std::string name = nameFrom(dataset, [&](char* text, std::size_t size) {
            return H5Pget_virtual_dsetname(creation, i, text, size);
        });
        const hssize_t points = to ? H5Sget_select_npoints(to.get()) : -1;
        if (!from || points < 0 || fileName.find('%') != std::string::npos ||
            __builtin_add_overflow(covered, static_cast<std::int64_t>(points), &covered)) {
            dataset.fail("has virtual sources of open number or size, which can't be checked",
                         "map each source file by its name and shape");
        }
        const bool same = fileName == ".";
        const fs::path holder = fileOf(dataset);
        const fs::path path = same ? holder : sourcePath(holder, fileName);
        if (path.empty()) {
            dataset.fail("its virtual source \"" + fileName + "\" is missing",
                         "put the file beside this one");
        }
        auto root = roots.find(path.string());
        if (root == roots.end()) {
            root = roots.emplace(path.string(), h5::openFile(path)).first;
        }
        info.sources.push_back(path);
        checkMapping(dataset, openPath(root->second, name), from.get(), points, depth, info);
    }
    const std::int64_t all = h5::product(info.dims);
    if (covered != all) {
        dataset.fail("its virtual sources give " + std::to_string(covered) + " of " +
                     std::to_string(all) + " numbers");
    }
}

StorageInfo inspect(const h5::Object& dataset, int depth) {
    if (!dataset.isDataset()) {
        dataset.fail("is not a dataset");
    }
    StorageInfo info;
    info.dims = dimsOf(dataset);
    const std::int64_t count = h5::product(info.dims);
    const h5::Handle type(H5Dget_type(dataset.id()), H5Tclose);
    const h5::Handle creation(H5Dget_create_plist(dataset.id()), H5Pclose);
    const std::size_t elementBytes = type ? H5Tget_size(type.get()) : 0;
    std::uint64_t bytes = 0;
    if (!creation || elementBytes == 0) {
        dataset.fail("can't be read" + h5::because());
    }
    if (count < 0 || __builtin_mul_overflow(static_cast<std::uint64_t>(count),
                                            std::uint64_t(elementBytes), &bytes)) {
        dataset.fail("is larger than any memory");
    }
    if (count == 0) {
        return info;
    }
    info.storedBytes = H5Dget_storage_size(dataset.id());
    switch (H5Pget_layout(creation.get())) {
    case H5D_COMPACT:
        break;
    case H5D_CONTIGUOUS: {
        if (H5Pget_external_count(creation.get()) > 0) {
            dataset.fail("keeps its numbers in raw external files, which can't be checked",
                         "copy them into the HDF5 file");
        }
        const haddr_t offset = H5Dget_offset(dataset.id());
        if (offset == HADDR_UNDEF || info.storedBytes < bytes) {
            dataset.fail("was never written", "the program that wrote it stopped too early");
        }
        info.file = fileOf(dataset);
        std::error_code error;
        const auto size = fs::file_size(info.file, error);
        if (error || offset > size || bytes > size - offset) {
            dataset.fail("lies behind the end of the file", "the file is truncated");
        }
        info.contiguous = true;
        info.offset = offset;
        break;
    }
    case H5D_CHUNKED:
        checkFilters(dataset, creation.get());
        checkChunks(dataset, creation.get(), info, elementBytes);
        break;
    case H5D_VIRTUAL:
        info.storedBytes = 0;
        checkVirtual(dataset, creation.get(), depth, info);
        break;
    default:
        dataset.fail("has an unknown storage layout");
    }
    if (info.file.empty()) {
        info.file = fileOf(dataset);
    }
    return info;
}

} // namespace

StorageInfo checkStorage(const h5::Object& dataset) {
    const h5::Lock lock;
    return inspect(dataset, 0);
}

} // namespace qkov::dump
