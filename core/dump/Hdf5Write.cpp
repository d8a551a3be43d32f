// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Hdf5.h"

#include <cstring>

namespace qkov::h5 {
namespace {

/// Bytes of an object from which on it begins at a multiple of `alignment`.
constexpr hsize_t alignFrom = hsize_t(64) << 10, alignment = 4096;

Handle utf8Type() {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    return type;
}

std::vector<hsize_t> extent(const Dims& dims) {
    return {dims.begin(), dims.end()};
}

Handle simpleSpace(const Dims& dims) {
    const auto e = extent(dims);
    return Handle(dims.empty() ? H5Screate(H5S_SCALAR)
                               : H5Screate_simple(static_cast<int>(e.size()), e.data(), nullptr),
                  H5Sclose);
}

void putAttribute(const Object& object, const char* name, hid_t type, const Dims& dims,
                  const void* value) {
    const Lock lock;
    if (H5Aexists(object.id(), name) > 0) {
        H5Adelete(object.id(), name);
    }
    const Handle space = simpleSpace(dims);
    const Handle id(H5Acreate2(object.id(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                    H5Aclose);
    if (!id || H5Awrite(id.get(), type, value) < 0) {
        object.fail(std::string("attribute ") + name + " can't be written" + because());
    }
}

std::vector<const char*> pointers(const std::vector<std::string>& values) {
    std::vector<const char*> p;
    p.reserve(values.size());
    for (const std::string& v : values) {
        p.push_back(v.c_str());
    }
    return p;
}

} // namespace

Handle createFile(const std::filesystem::path& temporary, const std::filesystem::path& target) {
    const Lock lock;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access.get(), 1, 1);
#endif
    // Large data begin where the disk can be read past the page cache, and with a cache line.
    H5Pset_alignment(access.get(), alignFrom, alignment);
    Handle id(H5Fcreate(temporary.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
    if (!id) {
        throw InputError("can't be written" + because(), target);
    }
    return id;
}

void writeAttribute(const Object& object, const char* name, const std::string& value) {
    const Lock lock;
    const char* text = value.c_str();
    putAttribute(object, name, utf8Type().get(), {}, &text);
}

void writeAttribute(const Object& object, const char* name, std::int64_t value) {
    const Lock lock;
    putAttribute(object, name, H5T_NATIVE_INT64, {}, &value);
}

void writeAttribute(const Object& object, const char* name, double value) {
    const Lock lock;
    putAttribute(object, name, H5T_NATIVE_DOUBLE, {}, &value);
}

void writeAttribute(const Object& object, const char* name,
                    const std::vector<std::string>& values) {
    const Lock lock;
    const auto texts = pointers(values);
    putAttribute(object, name, utf8Type().get(), {static_cast<std::int64_t>(values.size())},
                 texts.data());
}

Object createGroup(const Object& parent, const std::string& name) {
    const Lock lock;
    Handle id(H5Gcreate2(parent.id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
              H5Gclose);
    if (!id) {
        throw InputError("can't be created" + because(), parent.file(), parent.childPath(name));
    }
    return Object(std::move(id), parent.file(), parent.childPath(name));
}

Object createDataset(const Object& parent, const std::string& name, hid_t type, const Dims& dims) {
    const Lock lock;
    const Handle space = simpleSpace(dims);
    const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
    // Reserved now: a dataset that were allocated at its first write would read as zeros before.
    H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
    // References to text of variable length must not start as rubbish; plain numbers are written.
    const bool variable = H5Tis_variable_str(type) > 0 || H5Tdetect_class(type, H5T_VLEN) > 0;
    H5Pset_fill_time(creation.get(), variable ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER);
    Handle id(H5Dcreate2(parent.id(), name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(),
                         H5P_DEFAULT),
              H5Dclose);
    if (!id) {
        throw InputError("can't be created" + because(), parent.file(), parent.childPath(name));
    }
    return Object(std::move(id), parent.file(), parent.childPath(name));
}

void linkDataset(const Object& dataset, const Object& parent, const std::string& name) {
    const Lock lock;
    if (H5Olink(dataset.id(), parent.id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0) {
        throw InputError("can't be created" + because(), parent.file(), parent.childPath(name));
    }
}

void writeAll(const Object& dataset, hid_t memoryType, const void* values) {
    const Lock lock;
    if (H5Dwrite(dataset.id(), memoryType, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
        dataset.fail("can't be written" + because(), "the disk may be full");
    }
}

void writeStrings(const Object& parent, const std::string& name,
                  const std::vector<std::string>& values) {
    const Lock lock;
    const Handle type = utf8Type();
    const Object set =
        createDataset(parent, name, type.get(), {static_cast<std::int64_t>(values.size())});
    const auto texts = pointers(values);
    writeAll(set, type.get(), texts.data());
}

void writeSlab(const Object& dataset, hid_t memoryType, const Dims& start, const Dims& count,
               const void* values) {
    const Lock lock;
    const Handle fileSpace(H5Dget_space(dataset.id()), H5Sclose);
    const Handle memorySpace = simpleSpace(count);
    if (H5Sselect_hyperslab(fileSpace.get(), H5S_SELECT_SET, extent(start).data(), nullptr,
                            extent(count).data(), nullptr) < 0 ||
        H5Dwrite(dataset.id(), memoryType, memorySpace.get(), fileSpace.get(), H5P_DEFAULT,
                 values) < 0) {
        dataset.fail("can't be written" + because(), "the disk may be full");
    }
}

} // namespace qkov::h5
