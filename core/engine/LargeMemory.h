// SPDX-License-Identifier: GPL-3.0-or-later
// Memory for tiles, from the system and back to it: the C library would keep what is freed, and the
// memory budget would count it twice. Internal to the engine.
#pragma once

#include <cstddef>
#include <memory>

namespace qkov::engine {

class LargeMemory {
  public:
    struct Free {
        std::size_t bytes = 0;
        void operator()(std::byte* p) const;
    };
    using Pointer = std::unique_ptr<std::byte[], Free>;
    /// What an allocation of so many bytes takes.
    static std::size_t sizeFor(std::size_t bytes);
    /// Aligned to 4096 bytes at least, not cleared. From some size on in large pages: samples lie far
    /// apart, and small pages would miss the TLB at every run.
    /// @throws std::bad_alloc
    static Pointer allocate(std::size_t bytes);
};

} // namespace qkov::engine
