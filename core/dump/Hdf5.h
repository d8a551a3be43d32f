// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5's C API behind small types. Private to core: shared by dumps and results.
#pragma once

#include "base/Error.h"

#include <cstdint>
#include <filesystem>
#include <hdf5.h>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qkov::h5 {

/// HDF5 as distributed is not thread-safe: whoever calls it holds this lock. Recursive, so helpers
/// may take it again. The first one silences HDF5's own printing of errors.
class Lock {
  public:
    Lock();
    /// In a forked child whose parent held the lock: that belongs to a thread the child hasn't.
    static void renewInChild();

  private:
    std::unique_lock<std::recursive_mutex> m_lock;
};

/// An HDF5 id that is closed (under the lock) when it goes.
class Handle {
  public:
    using Close = herr_t (*)(hid_t);

    Handle() = default;
    Handle(hid_t id, Close close)
        : m_id(id)
        , m_close(close) {}
    ~Handle() { reset(); }
    Handle(Handle&& other) noexcept;
    Handle& operator=(Handle&& other) noexcept;

    hid_t get() const { return m_id; }
    explicit operator bool() const { return m_id >= 0; }
    void reset();

  private:
    hid_t m_id = -1;
    Close m_close = nullptr;
};

/// HDF5's innermost message about the last call that failed; may be empty.
std::string lastMessage();
/// ": message", or nothing.
std::string because();

using Dims = std::vector<std::int64_t>;
std::string toString(const Dims& dims); ///< "[3, 4]"
/// Product of dims. @throws InputError-free: returns -1 on overflow or a negative dim
std::int64_t product(const Dims& dims);

/// A group or dataset that knows where it is, so that every complaint names the place.
class Object {
  public:
    Object() = default;
    Object(Handle handle, std::filesystem::path file, std::string path);

    hid_t id() const { return m_handle.get(); }
    const std::filesystem::path& file() const { return m_file; }
    const std::string& path() const { return m_path; }
    bool isGroup() const { return H5Iget_type(id()) == H5I_GROUP; }
    bool isDataset() const { return H5Iget_type(id()) == H5I_DATASET; }
    explicit operator bool() const { return bool(m_handle); }

    [[noreturn]] void fail(const std::string& problem, const std::string& advice = {}) const;

    /// Names of all links, ascending. @throws InputError
    std::vector<std::string> children() const;
    bool has(const std::string& child) const;
    /// One link down. find: absent is nullopt, a link that leads nowhere an error.
    std::optional<Object> find(const std::string& child) const;
    Object open(const std::string& child) const;
    std::optional<Object> findGroup(const std::string& child) const;
    std::optional<Object> findDataset(const std::string& child) const;
    Object group(const std::string& child) const;
    Object dataset(const std::string& child) const;
    std::string childPath(const std::string& child) const;

    /// Attributes in any form that tools write: fixed or variable strings, any integer width,
    /// enumerations (booleans), scalar or one element. Absent: nullopt; unfit: InputError.
    std::optional<std::string> stringAttribute(const char* name) const;
    std::optional<std::int64_t> intAttribute(const char* name) const;
    std::optional<double> doubleAttribute(const char* name) const;
    std::optional<std::vector<std::string>> stringsAttribute(const char* name) const;
    /// The same, or InputError "attribute … is missing".
    std::string requireString(const char* name) const;
    std::int64_t requireInt(const char* name) const;

  private:
    Handle m_handle;
    std::filesystem::path m_file;
    std::string m_path;
};

/// Opens for reading. @throws InputError: missing, not HDF5, truncated
Object openFile(const std::filesystem::path& file);
/// True when the bytes begin like HDF5 (also at the offsets that user blocks shift it to).
bool isHdf5(const std::filesystem::path& file);

// Writing. All throw InputError about `file` when HDF5 can't (no space left, for one).
Handle createFile(const std::filesystem::path& temporary, const std::filesystem::path& target);
void writeAttribute(const Object& object, const char* name, const std::string& value);
void writeAttribute(const Object& object, const char* name, std::int64_t value);
void writeAttribute(const Object& object, const char* name, double value);
void writeAttribute(const Object& object, const char* name, const std::vector<std::string>& values);
/// Groups remember the final name of the file, not the temporary one.
Object createGroup(const Object& parent, const std::string& name);
/// Contiguous, space reserved at once, nothing written (holes read as zero).
Object createDataset(const Object& parent, const std::string& name, hid_t type, const Dims& dims);
/// A second name for the dataset, in `parent`.
void linkDataset(const Object& dataset, const Object& parent, const std::string& name);
void writeAll(const Object& dataset, hid_t memoryType, const void* values);
void writeStrings(const Object& parent, const std::string& name,
                  const std::vector<std::string>& values);
/// Rows `start` … of a hyperslab. @throws InputError
void writeSlab(const Object& dataset, hid_t memoryType, const Dims& start, const Dims& count,
               const void* values);

} // namespace qkov::h5
