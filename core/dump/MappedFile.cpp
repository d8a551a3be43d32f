// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/MappedFile.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <optional>

#ifdef __linux__
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace qkov::dump {

#ifdef __linux__

namespace {

/// Where the system doesn't count, one page of so many is looked at: it fetches and drops
/// neighbours together.
constexpr std::uint64_t lookEvery = std::uint64_t(1) << 20;

/// What the signal handler may look at: no locks, no allocation.
struct Slot {
    std::atomic<std::uintptr_t> begin{0}, end{0};
    std::atomic<bool> broken{false};
};
std::array<Slot, 64> slots;
std::mutex slotMutex;
std::array<bool, 64> taken{};
struct sigaction before;
std::uintptr_t pageBytes = 4096;

void onBusError(int signal, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
        const std::uintptr_t end = slot.end.load();
        if (at < slot.begin.load() || at >= end) {
            continue;
        }
        const auto page = at & ~(pageBytes - 1);
        slot.broken = true;
        if (mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED) {
            return;
        }
    }
    // Not ours: as if this handler were not there.
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
        before.sa_sigaction(signal, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(signal);
    } else {
        sigaction(SIGBUS, &before, nullptr);
    }
}

void installHandler() {
    static const bool once = [] {
        pageBytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
        struct sigaction action {};
        action.sa_sigaction = onBusError;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGBUS, &action, &before) == 0;
    }();
    (void)once;
}

/// As in linux/mman.h, which older ones lack.
struct CachedRange {
    std::uint64_t offset, bytes;
};
struct CachedPages {
    std::uint64_t here, dirty, writeback, evicted, recentlyEvicted;
};
constexpr long cachestatCall = 451;

/// Pages of [offset, offset + bytes) that are there; nothing if the system doesn't tell. Without
/// starting to read what is not there, unlike the way of older systems.
std::optional<std::uint64_t> countPages(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
    static std::atomic<bool> lacking{false};
    CachedRange range{offset, bytes};
    CachedPages pages{};
    if (lacking) {
        return std::nullopt;
    }
    if (syscall(cachestatCall, descriptor, &range, &pages, 0U) != 0) {
        lacking = errno == ENOSYS;
        return std::nullopt; // a file of somebody else, for one
    }
    return pages.here;
}

bool pageInMemory(int descriptor, std::uint64_t offset) {
#ifdef RWF_NOWAIT
    char byte = 0;
    const iovec one{&byte, 1};
    return preadv2(descriptor, &one, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
#else
    (void)descriptor, (void)offset;
    return false;
#endif
}

} // namespace

double shareInMemory(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) {
        return 1;
    }
    const std::uint64_t last = offset + bytes - 1;
    if (const auto here = countPages(descriptor, offset, bytes)) {
        static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
        return double(*here) / double(last / page - offset / page + 1);
    }
    // A look at a page that is away starts to read it: further ones would make their own answer.
    for (std::uint64_t at = offset; at < last; at += lookEvery) {
        if (!pageInMemory(descriptor, at)) {
            return 0;
        }
    }
    return pageInMemory(descriptor, last) ? 1 : 0;
}

std::unique_ptr<MappedFile> MappedFile::open(int descriptor, std::uint64_t bytes) {
    if (bytes == 0 || bytes > SIZE_MAX / 2) {
        return nullptr;
    }
    const std::lock_guard lock(slotMutex);
    const auto free = std::find(taken.begin(), taken.end(), false);
    if (free == taken.end()) {
        return nullptr;
    }
    installHandler();
    void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
    std::unique_ptr<MappedFile> file(new MappedFile);
    file->m_data = static_cast<std::byte*>(memory);
    file->m_size = bytes;
    file->m_slot = static_cast<std::size_t>(free - taken.begin());
    *free = true;
    Slot& slot = slots[file->m_slot];
    slot.broken = false;
    slot.end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
    slot.begin = reinterpret_cast<std::uintptr_t>(memory);
    return file;
}

MappedFile::~MappedFile() {
    const std::lock_guard lock(slotMutex);
    slots[m_slot].begin = 0;
    slots[m_slot].end = 0;
    taken[m_slot] = false;
    munmap(m_data, m_size);
}

void MappedFile::release(const std::byte* from, std::uint64_t bytes) const {
    if (bytes == 0 || broken()) {
        return;
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(m_data);
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    const std::uintptr_t first = std::max(begin, address / mostAround * mostAround);
    const std::uintptr_t last =
        std::min(begin + m_size, (address + bytes + mostAround - 1) / mostAround * mostAround);
    madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

bool MappedFile::broken() const {
    return slots[m_slot].broken;
}

#else

double shareInMemory(int, std::uint64_t, std::uint64_t) {
    return 0;
}

std::unique_ptr<MappedFile> MappedFile::open(int, std::uint64_t) {
    return nullptr;
}
MappedFile::~MappedFile() = default;
void MappedFile::release(const std::byte*, std::uint64_t) const {}
bool MappedFile::broken() const {
    return false;
}

#endif

} // namespace qkov::dump
