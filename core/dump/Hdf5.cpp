// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Hdf5.h"

#include "base/Numbers.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

namespace qkov::h5 {
namespace {

/// Never destroyed: handles in static objects may close late.
std::recursive_mutex*& mutexSlot() {
    static auto* m = new std::recursive_mutex;
    return m;
}

std::recursive_mutex& mutex() {
    return *mutexSlot();
}

constexpr std::size_t maxAttributeBytes = std::size_t(64) << 20;
constexpr std::int64_t maxAttributeElements = 1 << 20;

herr_t innermost(unsigned n, const H5E_error2_t* error, void* data) {
    if (n == 0 && error->desc) {
        *static_cast<std::string*>(data) = error->desc;
    }
    return 0;
}

herr_t collectName(hid_t, const char* name, const H5L_info_t*, void* data) {
    // Exceptions must not pass through C frames.
    try {
        static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    } catch (...) {
        return -1;
    }
    return 0;
}

/// Cut at the first NUL; space padding goes too.
std::string fixedString(const char* text, std::size_t size, H5T_str_t padding) {
    std::string s(text, strnlen(text, size));
    if (padding == H5T_STR_SPACEPAD) {
        while (!s.empty() && s.back() == ' ') {
            s.pop_back();
        }
    }
    return s;
}

struct Attribute {
    Handle id;
    Handle type;
    Handle space;
    std::int64_t elements = 0;
};

std::optional<Attribute> openAttribute(const Object& object, const char* name) {
    const htri_t exists = H5Aexists(object.id(), name);
    if (exists < 0) {
        object.fail(std::string("attribute ") + name + " can't be read" + because());
    }
    if (exists == 0) {
        return std::nullopt;
    }
    Attribute a;
    a.id = Handle(H5Aopen(object.id(), name, H5P_DEFAULT), H5Aclose);
    if (!a.id) {
        object.fail(std::string("attribute ") + name + " can't be read" + because());
    }
    a.type = Handle(H5Aget_type(a.id.get()), H5Tclose);
    a.space = Handle(H5Aget_space(a.id.get()), H5Sclose);
    a.elements = a.space ? H5Sget_simple_extent_npoints(a.space.get()) : -1;
    if (!a.type || a.elements < 0 || a.elements > maxAttributeElements ||
        H5Tget_size(a.type.get()) > maxAttributeBytes) {
        object.fail(std::string("attribute ") + name + " can't be read" + because());
    }
    return a;
}

std::vector<std::string> readStrings(const Object& object, const char* name, const Attribute& a) {
    if (H5Tget_class(a.type.get()) != H5T_STRING) {
        object.fail(std::string("attribute ") + name + " is not a string");
    }
    std::vector<std::string> out;
    const auto n = static_cast<std::size_t>(a.elements);
    if (n == 0) {
        return out;
    }
    Handle memory(H5Tcopy(a.type.get()), H5Tclose);
    if (H5Tis_variable_str(a.type.get()) > 0) {
        std::vector<char*> pointers(n, nullptr);
        if (H5Aread(a.id.get(), memory.get(), pointers.data()) < 0) {
            object.fail(std::string("attribute ") + name + " can't be read" + because());
        }
        for (const char* p : pointers) {
            out.emplace_back(p ? p : "");
        }
        H5Dvlen_reclaim(memory.get(), a.space.get(), H5P_DEFAULT, pointers.data());
    } else {
        const std::size_t size = H5Tget_size(a.type.get());
        if (size > maxAttributeBytes / n) {
            object.fail(std::string("attribute ") + name + " is too large");
        }
        std::vector<char> buffer(size * n);
        if (H5Aread(a.id.get(), memory.get(), buffer.data()) < 0) {
            object.fail(std::string("attribute ") + name + " can't be read" + because());
        }
        for (std::size_t i = 0; i < n; ++i) {
            out.push_back(fixedString(buffer.data() + i * size, size, H5Tget_strpad(a.type.get())));
        }
    }
    return out;
}

/// One number as `target`; enumerations by their base type.
void readNumber(const Object& object, const char* name, const Attribute& a, hid_t target,
                void* value) {
    if (a.elements != 1) {
        object.fail(std::string("attribute ") + name + " holds " + std::to_string(a.elements) +
                    " values, expected one");
    }
    alignas(16) unsigned char buffer[64] = {};
    const H5T_class_t kind = H5Tget_class(a.type.get());
    Handle base;
    if (kind == H5T_ENUM) {
        base = Handle(H5Tget_super(a.type.get()), H5Tclose);
    } else {
        base = Handle(H5Tcopy(a.type.get()), H5Tclose);
    }
    const bool ok = base && H5Tget_size(base.get()) <= 32 &&
                    H5Aread(a.id.get(), a.type.get(), buffer) >= 0 &&
                    H5Tconvert(base.get(), target, 1, buffer, nullptr, H5P_DEFAULT) >= 0;
    if (!ok) {
        object.fail(std::string("attribute ") + name + " can't be read" + because());
    }
    std::memcpy(value, buffer, 8);
}

} // namespace

Lock::Lock()
    : m_lock(mutex()) {
    // A thread-safe HDF5 keeps one error stack per thread, each loud until told otherwise.
    thread_local const bool silenced = [] {
        H5open();
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
        return true;
    }();
    (void)silenced;
}

void Lock::renewInChild() {
    mutexSlot() = new std::recursive_mutex;
}

Handle::Handle(Handle&& other) noexcept
    : m_id(std::exchange(other.m_id, -1))
    , m_close(other.m_close) {}

Handle& Handle::operator=(Handle&& other) noexcept {
    if (this != &other) {
        reset();
        m_id = std::exchange(other.m_id, -1);
        m_close = other.m_close;
    }
    return *this;
}

void Handle::reset() {
    if (m_id >= 0) {
        const Lock lock;
        m_close(m_id);
        m_id = -1;
    }
}

std::string lastMessage() {
    std::string text;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &text);
    return text;
}

std::string because() {
    const std::string text = lastMessage();
    return text.empty() ? text : ": " + text;
}

std::string toString(const Dims& dims) {
    std::string s = "[";
    for (std::size_t i = 0; i < dims.size(); ++i) {
        s += (i ? ", " : "") + std::to_string(dims[i]);
    }
    return s + "]";
}

std::int64_t product(const Dims& dims) {
    std::int64_t n = 1;
    for (const std::int64_t d : dims) {
        if (d < 0 || __builtin_mul_overflow(n, d, &n)) {
            return -1;
        }
    }
    return n;
}

Object::Object(Handle handle, std::filesystem::path file, std::string path)
    : m_handle(std::move(handle))
    , m_file(std::move(file))
    , m_path(std::move(path)) {}

void Object::fail(const std::string& problem, const std::string& advice) const {
    throw InputError(problem, m_file, m_path, advice);
}

std::string Object::childPath(const std::string& child) const {
    return (m_path == "/" ? m_path : m_path + "/") + child;
}

std::vector<std::string> Object::children() const {
    const Lock lock;
    std::vector<std::string> names;
    if (H5Literate(id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collectName, &names) < 0) {
        fail("can't be listed" + because());
    }
    return names;
}

bool Object::has(const std::string& child) const {
    const Lock lock;
    return H5Lexists(id(), child.c_str(), H5P_DEFAULT) > 0;
}

std::optional<Object> Object::find(const std::string& child) const {
    const Lock lock;
    const htri_t exists = H5Lexists(id(), child.c_str(), H5P_DEFAULT);
    if (exists < 0) {
        throw InputError("can't be read" + because(), m_file, childPath(child));
    }
    if (exists == 0) {
        return std::nullopt;
    }
    Handle handle(H5Oopen(id(), child.c_str(), H5P_DEFAULT), H5Oclose);
    if (!handle) {
        throw InputError("can't be opened" + because(), m_file, childPath(child),
                         "a link may lead to something that is not there");
    }
    return Object(std::move(handle), m_file, childPath(child));
}

Object Object::open(const std::string& child) const {
    auto found = find(child);
    if (!found) {
        throw InputError("is missing", m_file, childPath(child));
    }
    return std::move(*found);
}

std::optional<Object> Object::findGroup(const std::string& child) const {
    auto found = find(child);
    if (found && !found->isGroup()) {
        found->fail("is not a group");
    }
    return found;
}

std::optional<Object> Object::findDataset(const std::string& child) const {
    auto found = find(child);
    if (found && !found->isDataset()) {
        found->fail("is not a dataset");
    }
    return found;
}

Object Object::group(const std::string& child) const {
    Object found = open(child);
    if (!found.isGroup()) {
        found.fail("is not a group");
    }
    return found;
}

Object Object::dataset(const std::string& child) const {
    Object found = open(child);
    if (!found.isDataset()) {
        found.fail("is not a dataset");
    }
    return found;
}

std::optional<std::vector<std::string>> Object::stringsAttribute(const char* name) const {
    const Lock lock;
    const auto a = openAttribute(*this, name);
    if (!a) {
        return std::nullopt;
    }
    return readStrings(*this, name, *a);
}

std::optional<std::string> Object::stringAttribute(const char* name) const {
    const Lock lock;
    const auto a = openAttribute(*this, name);
    if (!a) {
        return std::nullopt;
    }
    auto strings = readStrings(*this, name, *a);
    if (strings.size() != 1) {
        fail(std::string("attribute ") + name + " holds " + std::to_string(strings.size()) +
             " values, expected one");
    }
    return std::move(strings.front());
}

std::optional<std::int64_t> Object::intAttribute(const char* name) const {
    const Lock lock;
    const auto a = openAttribute(*this, name);
    if (!a) {
        return std::nullopt;
    }
    const H5T_class_t kind = H5Tget_class(a->type.get());
    if (kind != H5T_INTEGER && kind != H5T_ENUM) {
        fail(std::string("attribute ") + name + " is not an integer");
    }
    std::int64_t value = 0;
    readNumber(*this, name, *a, H5T_NATIVE_INT64, &value);
    return value;
}

std::optional<double> Object::doubleAttribute(const char* name) const {
    const Lock lock;
    const auto a = openAttribute(*this, name);
    if (!a) {
        return std::nullopt;
    }
    const H5T_class_t kind = H5Tget_class(a->type.get());
    if (kind != H5T_INTEGER && kind != H5T_FLOAT) {
        fail(std::string("attribute ") + name + " is not a number");
    }
    double value = 0;
    readNumber(*this, name, *a, H5T_NATIVE_DOUBLE, &value);
    return value;
}

std::string Object::requireString(const char* name) const {
    auto value = stringAttribute(name);
    if (!value) {
        fail(std::string("attribute ") + name + " is missing");
    }
    return std::move(*value);
}

std::int64_t Object::requireInt(const char* name) const {
    const auto value = intAttribute(name);
    if (!value) {
        fail(std::string("attribute ") + name + " is missing");
    }
    return *value;
}

bool isHdf5(const std::filesystem::path& file) {
    static constexpr char signature[] = "\x89HDF\r\n\x1a\n";
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    const std::int64_t size = in ? static_cast<std::int64_t>(in.tellg()) : 0;
    for (std::int64_t at = 0; at + 8 <= size; at = at ? at * 2 : 512) {
        char bytes[8];
        in.seekg(at);
        if (in.read(bytes, 8) && std::memcmp(bytes, signature, 8) == 0) {
            return true;
        }
        in.clear();
    }
    return false;
}

Object openFile(const std::filesystem::path& file) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (!std::filesystem::exists(status)) {
        throw InputError("does not exist", file);
    }
    if (!std::filesystem::is_regular_file(status)) {
        throw InputError("is not a file", file);
    }
    if (!std::ifstream(file, std::ios::binary)) {
        throw InputError("can't be opened", file, {}, "check the permissions");
    }
    if (!isHdf5(file)) {
        throw InputError("is not an HDF5 file", file);
    }
    const Lock lock;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    // Wide rows of partial columns: a larger sieve turns many small reads into few.
    H5Pset_sieve_buf_size(access.get(), 1 << 20);
#if H5_VERSION_GE(1, 10, 7)
    // Network file systems without locks are no reason to refuse a file that is only read.
    H5Pset_file_locking(access.get(), 1, 1);
#endif
    Handle id(H5Fopen(file.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
    if (!id) {
        const std::string why = because();
        unsigned long long there = 0;
        unsigned long long wanted = 0;
        const auto at = why.find("truncated file: eof = ");
        if (at != std::string::npos &&
            std::sscanf(why.c_str() + at,
                        "truncated file: eof = %llu, sblock->base_addr = %*u, stored_eof = %llu",
                        &there, &wanted) == 2) {
            throw InputError("is cut off: " + formatBytes(static_cast<double>(there)) + " of " +
                                 formatBytes(static_cast<double>(wanted)) + " are there",
                             file, {}, "copy or collect it again");
        }
        if (why.find("unable to lock file") != std::string::npos) {
            throw InputError("is open for writing in another program", file, {},
                             "wait for it to end");
        }
        throw InputError("can't be opened" + why, file, {}, "the file may be damaged");
    }
    // The root group keeps the file open.
    Handle root(H5Oopen(id.get(), "/", H5P_DEFAULT), H5Oclose);
    if (!root) {
        throw InputError("can't be read" + because(), file, "/");
    }
    return Object(std::move(root), file, "/");
}

} // namespace qkov::h5
