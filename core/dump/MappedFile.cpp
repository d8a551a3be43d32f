// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/MappedFile.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <mutex>

#ifdef __linux__
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace qkov::dump {

#ifdef __linux__

namespace {

/// Pages of which one is looked at: the system fetches and drops neighbours together.
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

} // namespace

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
    file->m_descriptor = descriptor;
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

bool MappedFile::inMemory(std::uint64_t offset, std::uint64_t bytes) const {
    if (bytes == 0 || offset > m_size || bytes > m_size - offset || broken()) {
        return false;
    }
#ifdef RWF_NOWAIT
    const auto here = [this](std::uint64_t at) {
        char byte = 0;
        const iovec one{&byte, 1};
        return preadv2(m_descriptor, &one, 1, static_cast<off_t>(at), RWF_NOWAIT) == 1;
    };
    for (std::uint64_t at = offset; at < offset + bytes; at += lookEvery) {
        if (!here(at)) {
            return false;
        }
    }
    return here(offset + bytes - 1);
#else
    return false;
#endif
}

void MappedFile::release() const {
    if (!broken()) {
        madvise(m_data, m_size, MADV_DONTNEED);
    }
}

bool MappedFile::broken() const {
    return slots[m_slot].broken;
}

#else

std::unique_ptr<MappedFile> MappedFile::open(int, std::uint64_t) {
    return nullptr;
}
MappedFile::~MappedFile() = default;
bool MappedFile::inMemory(std::uint64_t, std::uint64_t) const {
    return false;
}
void MappedFile::release() const {}
bool MappedFile::broken() const {
    return false;
}

#endif

} // namespace qkov::dump
