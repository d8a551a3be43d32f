// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/LargeMemory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace qkov::engine {

namespace {

constexpr std::size_t largePage = std::size_t(2) << 20;
constexpr std::size_t alignment = 4096; // of reads past the page cache
constexpr std::size_t ownPages = std::size_t(64) << 10;

} // namespace

std::size_t LargeMemory::sizeFor(std::size_t bytes) {
    // Disks want large pages to the end; a little behind them is not worth another one.
    const bool large = bytes >= largePage && bytes % largePage > largePage / 16;
    const std::size_t align = large ? largePage : alignment;
    return std::max<std::size_t>((bytes + align - 1) / align * align, align);
}

LargeMemory::Pointer LargeMemory::allocate(std::size_t bytes) {
    const std::size_t size = sizeFor(bytes);
#ifdef __linux__
    if (size >= largePage) {
        // One page more, so that it begins with a large one.
        void* memory = mmap(nullptr, size + largePage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        auto* begin = static_cast<std::byte*>(memory);
        const std::size_t before =
            (largePage - reinterpret_cast<std::uintptr_t>(begin) % largePage) % largePage;
        if (before > 0) {
            munmap(begin, before);
        }
        if (before < largePage) {
            munmap(begin + before + size, largePage - before);
        }
        madvise(begin + before, size, MADV_HUGEPAGE);
        return Pointer(begin + before, Free{size});
    }
    if (size >= ownPages) {
        void* memory =
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        return Pointer(static_cast<std::byte*>(memory), Free{size});
    }
#endif
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, size));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return Pointer(memory, Free{size});
}

void LargeMemory::Free::operator()(std::byte* p) const {
#ifdef __linux__
    if (bytes >= ownPages) {
        munmap(p, bytes);
        return;
    }
#endif
    std::free(p);
}

} // namespace qkov::engine
