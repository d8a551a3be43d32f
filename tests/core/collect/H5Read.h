// SPDX-License-Identifier: GPL-3.0-or-later
// Reads datasets straight through HDF5's C API, so that the tests of what is written don't lean on
// our own reader.
#pragma once

#include <cstring>
#include <filesystem>
#include <hdf5.h>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace qkov::test {

struct H5Array {
    std::vector<hsize_t> shape;
    std::vector<double> values;
};

class H5Read {
  public:
    explicit H5Read(const std::filesystem::path& file)
        : m_file(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
        if (m_file < 0) {
            throw std::runtime_error("can't open " + file.string());
        }
    }
    ~H5Read() { H5Fclose(m_file); }
    H5Read(const H5Read&) = delete;
    H5Read& operator=(const H5Read&) = delete;

    bool has(const std::string& path) const {
        for (std::size_t at = path.find('/', 1); at != std::string::npos;
             at = path.find('/', at + 1)) {
            if (H5Lexists(m_file, path.substr(0, at).c_str(), H5P_DEFAULT) <= 0) {
                return false;
            }
        }
        return H5Lexists(m_file, path.c_str(), H5P_DEFAULT) > 0;
    }

    /// Whether two names are of one and the same dataset.
    bool same(const std::string& a, const std::string& b) const {
        H5O_info_t first, second;
        if (H5Oget_info_by_name(m_file, a.c_str(), &first, H5P_DEFAULT) < 0 ||
            H5Oget_info_by_name(m_file, b.c_str(), &second, H5P_DEFAULT) < 0) {
            throw std::runtime_error("no dataset " + a + " or " + b);
        }
        return first.addr == second.addr;
    }

    /// Any numbers, converted to double.
    H5Array numbers(const std::string& path) const {
        const hid_t data = H5Dopen2(m_file, path.c_str(), H5P_DEFAULT);
        if (data < 0) {
            throw std::runtime_error("no dataset " + path);
        }
        const hid_t space = H5Dget_space(data);
        H5Array a;
        a.shape.resize(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
        H5Sget_simple_extent_dims(space, a.shape.data(), nullptr);
        a.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
        H5Dread(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, a.values.data());
        H5Sclose(space);
        H5Dclose(data);
        return a;
    }

    std::vector<std::string> strings(const std::string& path) const {
        const hid_t data = H5Dopen2(m_file, path.c_str(), H5P_DEFAULT);
        const hid_t space = H5Dget_space(data);
        std::vector<char*> raw(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
        const hid_t type = H5Dget_type(data);
        H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data());
        std::vector<std::string> result(raw.begin(), raw.end());
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
        H5Tclose(type);
        H5Sclose(space);
        H5Dclose(data);
        return result;
    }

    /// Every dataset by name, with its stored bytes (variable-length ones: their names only).
    std::map<std::string, std::vector<char>> everything() const {
        std::vector<std::string> names;
        H5Ovisit(
            m_file, H5_INDEX_NAME, H5_ITER_INC,
            [](hid_t, const char* name, const H5O_info_t* info, void* list) -> herr_t {
                if (info->type == H5O_TYPE_DATASET) {
                    static_cast<std::vector<std::string>*>(list)->push_back(name);
                }
                return 0;
            },
            &names);
        std::map<std::string, std::vector<char>> result;
        for (const std::string& name : names) {
            const hid_t data = H5Dopen2(m_file, name.c_str(), H5P_DEFAULT);
            const hid_t type = H5Dget_type(data);
            std::vector<char> bytes;
            if (H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tis_variable_str(type) <= 0) {
                bytes.resize(H5Dget_storage_size(data));
                H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
            }
            result[name] = std::move(bytes);
            H5Tclose(type);
            H5Dclose(data);
        }
        return result;
    }

  private:
    hid_t m_file;
};

} // namespace qkov::test
