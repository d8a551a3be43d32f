// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/OpenFiles.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qkov::dump {
namespace {

constexpr std::size_t usualAlignment = 4096;
/// A disk slower than this leaves the processor time for the page cache.
constexpr double slowBytesPerSecond = 1e9;
constexpr double bytesToTell = 64e6;

/// As the file system tells it; what nearly all accept if it doesn't.
std::size_t directAlignment(int descriptor) {
#if defined(SYS_statx) && defined(STATX_DIOALIGN)
    struct statx info {};
    if (::syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) != 0) {
        const std::size_t align = std::max<std::size_t>(
            {info.stx_dio_mem_align, info.stx_dio_offset_align, std::size_t(512)});
        const bool offered = info.stx_dio_mem_align > 0 && info.stx_dio_offset_align > 0;
        return offered && align <= usualAlignment && (align & (align - 1)) == 0 ? align : 0;
    }
#endif
    (void)descriptor;
    return usualAlignment;
}

/// pread until all is there, the file ends or something is wrong.
std::size_t readAll(int descriptor, std::uint64_t offset, std::size_t bytes, std::byte* target) {
    std::size_t done = 0;
    errno = 0;
    while (done < bytes) {
        const ssize_t got =
            ::pread(descriptor, target + done, bytes - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return done;
}

} // namespace

std::uint64_t availableMemory() {
    std::ifstream in("/proc/meminfo");
    std::string word;
    while (in >> word) {
        if (word == "MemAvailable:") {
            std::uint64_t kilobytes = 0;
            in >> kilobytes;
            return kilobytes << 10;
        }
    }
    return 0;
}

DiskFile::DiskFile(int descriptor, std::string name)
    : m_descriptor(descriptor)
    , m_name(std::move(name)) {}

DiskFile::~DiskFile() {
    m_mapped.reset();
    if (m_direct >= 0) {
        ::close(m_direct);
    }
    ::close(m_descriptor);
}

std::uint64_t DiskFile::size() const {
    struct stat info {};
    return ::fstat(m_descriptor, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

const MappedFile* DiskFile::mapped() const {
    std::call_once(m_mappedOnce, [this] {
        m_mapped = MappedFile::open(m_descriptor, size());
        m_shown = m_mapped.get();
    });
    return m_shown;
}

bool DiskFile::broken() const {
    const MappedFile* file = m_shown;
    return file != nullptr && file->broken();
}

void DiskFile::openDirect() const {
#ifdef O_DIRECT
    const std::size_t align = directAlignment(m_descriptor);
    if (align == 0) {
        return;
    }
    const int fd = ::open(m_name.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    struct stat ours {};
    struct stat theirs {};
    // Another file may have taken the name since.
    if (fd >= 0 && (::fstat(m_descriptor, &ours) != 0 || ::fstat(fd, &theirs) != 0 ||
                    ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)) {
        ::close(fd);
        return;
    }
    m_direct = fd;
    m_alignment = fd >= 0 ? align : 0;
#endif
}

std::size_t DiskFile::alignment() const {
    std::call_once(m_directOnce, [this] { openDirect(); });
    return m_refused ? 0 : m_alignment;
}

std::size_t DiskFile::readDirect(std::uint64_t offset, std::size_t bytes, std::byte* target) const {
    using Clock = std::chrono::steady_clock;
    {
        const std::lock_guard lock(m_speedMutex);
        if (m_running++ == 0) {
            m_since = Clock::now();
        }
    }
    const std::size_t done = readAll(m_direct, offset, bytes, target);
    const int error = errno;
    {
        const std::lock_guard lock(m_speedMutex);
        m_bytes += static_cast<double>(done);
        const auto now = Clock::now();
        m_seconds += std::chrono::duration<double>(now - m_since).count();
        m_since = now;
        --m_running;
        if (!m_slow && m_bytes > bytesToTell) {
            m_slow = m_bytes < slowBytesPerSecond * m_seconds && size() < availableMemory() / 2;
            m_bytes = m_seconds = 0;
        }
    }
    if (error == EINVAL) {
        m_refused = true;
    }
    return done;
}

std::size_t DiskFile::read(std::uint64_t offset, std::size_t bytes, std::size_t needed,
                           std::byte* target, bool keep) const {
    const std::size_t align = keep || m_slow ? 0 : alignment();
    const bool fits = align > 0 && offset % align == 0 && bytes % align == 0 &&
                      reinterpret_cast<std::uintptr_t>(target) % align == 0;
    std::size_t done = 0;
    if (fits && shareInMemory(m_descriptor, offset, needed) < mostlyInMemory) {
        done = readDirect(offset, bytes, target);
    }
    // Also where the first way failed midway: the page cache knows better, or tells the error.
    return done >= needed
               ? done
               : done + readAll(m_descriptor, offset + done, needed - done, target + done);
}

void DiskFile::announce(std::uint64_t offset, std::uint64_t bytes) const {
    ::posix_fadvise(m_descriptor, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                    POSIX_FADV_WILLNEED);
}

const DiskFile* OpenFiles::find(const std::string& file) {
    const auto it = m_files.find(file);
    if (it != m_files.end()) {
        return it->second.get();
    }
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return nullptr;
    }
    return m_files.emplace(file, std::make_unique<DiskFile>(fd, file)).first->second.get();
}

const MappedFile* OpenFiles::mappedAt(const std::byte* at) const {
    for (const auto& entry : m_files) {
        const MappedFile* file = entry.second->known();
        if (file != nullptr && file->contains(at)) {
            return file;
        }
    }
    return nullptr;
}

bool OpenFiles::anyBroken() const {
    return std::any_of(m_files.begin(), m_files.end(),
                       [](const auto& entry) { return entry.second->broken(); });
}

} // namespace qkov::dump
