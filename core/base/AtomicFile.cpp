// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/AtomicFile.h"

#include "base/Error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace qkov {
namespace {

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& file, int error) {
    throw InputError(what + ": " + std::strerror(error), file, {},
                     error == ENOSPC ? "free some space or choose another place"
                                     : "choose another place or check the permissions");
}

} // namespace

AtomicFile::AtomicFile(std::filesystem::path target)
    : m_target(std::move(target)) {
    std::error_code ignored;
    if (std::filesystem::is_directory(m_target, ignored)) {
        fail("can't be written", m_target, EISDIR);
    }
    // Renaming over a device or pipe would replace it.
    if (std::filesystem::exists(m_target, ignored) &&
        !std::filesystem::is_regular_file(m_target, ignored)) {
        throw InputError("can't be written: it is a device, not a file", m_target, {},
                         "choose another place");
    }
    const std::string pattern = m_target.string() + ".tmp-XXXXXX";
    std::vector<char> name(pattern.begin(), pattern.end());
    name.push_back('\0');
    const int fd = ::mkstemp(name.data());
    if (fd < 0) {
        fail("can't be written", m_target, errno);
    }
    // mkstemp gives 0600; a finished file gets what the user's umask says.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(fd, 0666 & ~mask);
    ::close(fd);
    m_temporary = name.data();
}

AtomicFile::~AtomicFile() {
    if (!m_temporary.empty()) {
        ::unlink(m_temporary.c_str());
    }
}

void AtomicFile::flush(const std::function<void()>& between) const {
    between();
#ifdef __linux__
    constexpr off_t piece = off_t(16) << 20; // well within 200 ms on a slow disk
    const int fd = ::open(m_temporary.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (fd < 0 || ::fstat(fd, &info) != 0) {
        info.st_size = 0;
    }
    try {
        for (off_t at = 0; at < info.st_size; at += piece) {
            between();
            // What fails here is told once only: commit() would not hear of it.
            if (::sync_file_range(fd, at, piece,
                                  SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                      SYNC_FILE_RANGE_WAIT_AFTER) != 0 &&
                errno != EINVAL && errno != ENOSYS && errno != ESPIPE) {
                fail("can't be finished", m_target, errno);
            }
        }
    } catch (...) {
        ::close(fd);
        throw;
    }
    if (fd >= 0) {
        ::close(fd);
    }
#endif
}

void AtomicFile::commit() {
    const int fd = ::open(m_temporary.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("can't be finished", m_target, errno);
    }
    const int synced = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (synced != 0 && error != EINVAL) {
        fail("can't be finished", m_target, error);
    }
    if (::rename(m_temporary.c_str(), m_target.c_str()) != 0) {
        fail("can't be finished", m_target, errno);
    }
    m_temporary.clear();
}

void AtomicFile::startWriting() const {
#ifdef SYNC_FILE_RANGE_WRITE
    const int fd = ::open(m_temporary.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); // commit() tells what goes wrong
        ::close(fd);
    }
#endif
}

void writeTextFile(const std::filesystem::path& target, std::string_view text) {
    AtomicFile file(target);
    std::FILE* f = std::fopen(file.temporary().c_str(), "wb");
    if (!f) {
        fail("can't be written", target, errno);
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), f) == text.size();
    const int writeError = errno;
    errno = 0;
    const bool closed = std::fclose(f) == 0;
    if (!written || !closed) {
        fail("can't be written", target, written ? errno : writeError);
    }
    file.commit();
}

} // namespace qkov
