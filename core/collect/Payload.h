// SPDX-License-Identifier: GPL-3.0-or-later
// How the gradients of one micro-batch lie in memory and in spool files. No Torch.
#pragma once

#include "collect/CollectPlan.h"

#include <cstddef>
#include <cstdlib>
#include <new>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace qkov::collect {

/// Memory that isn't cleared before it is filled, in huge pages where the system has them: payloads
/// are gigabytes.
template <class T>
struct UnclearedAllocator {
    using value_type = T;
    UnclearedAllocator() = default;
    template <class U>
    UnclearedAllocator(const UnclearedAllocator<U>&) {}
    T* allocate(std::size_t n) {
        constexpr std::size_t page = std::size_t(2) << 20;
        const std::size_t bytes = n * sizeof(T);
        const std::size_t alignment = bytes < 2 * page ? 64 : page;
        void* memory =
            std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
        if (!memory) {
            throw std::bad_alloc();
        }
        if (alignment == page) {
            ::madvise(memory, bytes, MADV_HUGEPAGE); // a hint: refusal does no harm
        }
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t) { std::free(memory); }
    template <class U, class... Arguments>
    void construct(U* place, Arguments&&... arguments) {
        if constexpr (sizeof...(Arguments) > 0) {
            ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
        }
    }
    friend bool operator==(const UnclearedAllocator&, const UnclearedAllocator&) { return true; }
};
using Payload = std::vector<std::byte, UnclearedAllocator<std::byte>>;

/// For each recorded parameter, for each sample of the batch, without padding: input then
/// gradOutput [length, d] (factored) or the gradient (dense) in the stored type; then, where it is
/// collected, the bias gradients [dOut] as float32.
struct PayloadLayout {
    /// @param weights false: the biases only, the rest is kept elsewhere
    PayloadLayout(const CollectPlan& plan, const CollectRequest& request, const PlannedTask& task,
                  const std::vector<std::size_t>& batch, bool weights = true);
    std::size_t offset(std::size_t parameter, std::size_t inBatch) const {
        return offsets[parameter * samples + inBatch];
    }
    std::size_t biasOffset(std::size_t parameter, std::size_t inBatch) const {
        return biasOffsets[parameter * samples + inBatch];
    }
    std::size_t samples = 0;
    std::size_t bytes = 0;
    std::vector<std::size_t> offsets, biasOffsets;
};

} // namespace qkov::collect
