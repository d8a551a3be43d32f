// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/RawFile.h"

#include "base/Error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qkov {

RawFile::RawFile(const std::filesystem::path& file)
    : m_file(file)
    // A pipe would be waited for.
    , m_fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (m_fd < 0 && errno == ENOENT) {
        throw InputError("is missing", file);
    }
    if (m_fd < 0) {
        throw InputError(std::string("can't be read: ") + std::strerror(errno), file);
    }
    if (::fstat(m_fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(m_fd);
        throw InputError("is not a regular file", file);
    }
    m_bytes = static_cast<std::uint64_t>(status.st_size);
}

RawFile::~RawFile() {
    if (m_fd >= 0) {
        ::close(m_fd);
    }
}

RawFile::RawFile(RawFile&& other) noexcept
    : m_file(std::move(other.m_file))
    , m_fd(std::exchange(other.m_fd, -1))
    , m_bytes(other.m_bytes) {}

void RawFile::read(std::uint64_t offset, std::size_t count, void* target) const {
    auto* to = static_cast<char*>(target);
    std::size_t done = 0;
    while (done < count) {
        const ssize_t n = ::pread(m_fd, to + done, count - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            throw InputError(n < 0 ? std::string("can't be read: ") + std::strerror(errno)
                                   : "ends at byte " + std::to_string(m_bytes) + ", before byte " +
                                         std::to_string(offset + count),
                             m_file, {}, "the file may be truncated");
        }
        done += static_cast<std::size_t>(n);
    }
}

std::string readText(const std::filesystem::path& file, std::uint64_t limit) {
    const RawFile raw(file);
    if (raw.bytes() > limit) {
        throw InputError("is too large: " + std::to_string(raw.bytes()) + " bytes, at most " +
                             std::to_string(limit) + " are read",
                         file);
    }
    std::string text(raw.bytes(), '\0');
    raw.read(0, text.size(), text.data());
    return text;
}

bool isThere(const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::exists(std::filesystem::symlink_status(file, ignored));
}

} // namespace qkov
