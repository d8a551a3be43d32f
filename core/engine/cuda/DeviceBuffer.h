// SPDX-License-Identifier: GPL-3.0-or-later
// Owners of device and pinned host memory; they grow and are reused.
#pragma once

#include "engine/cuda/CudaError.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace qkov::engine::cuda {

/// Memory of plain bytes. reserve() keeps what is there when it is large enough, else the content
/// is lost.
template <class Kind>
class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer&& o) noexcept
        : m_data(std::exchange(o.m_data, nullptr))
        , m_size(std::exchange(o.m_size, 0)) {}
    Buffer& operator=(Buffer&& o) noexcept {
        std::swap(m_data, o.m_data);
        std::swap(m_size, o.m_size);
        return *this;
    }
    ~Buffer() { release(); }

    /// @throws OutOfDeviceMemory (the buffer is then empty)
    void reserve(std::size_t bytes) {
        if (bytes <= m_size) {
            return;
        }
        const std::size_t size = Kind::grown(bytes, m_size);
        release();
        check(Kind::allocate(&m_data, size), Kind::name);
        m_size = size;
    }
    void release() noexcept {
        if (m_data) {
            Kind::free(m_data);
        }
        m_data = nullptr;
        m_size = 0;
    }
    std::size_t size() const { return m_size; }
    template <class T>
    T* as() const {
        return static_cast<T*>(m_data);
    }

  private:
    void* m_data = nullptr;
    std::size_t m_size = 0;
};

struct DeviceKind {
    static constexpr const char* name = "device memory";
    static cudaError_t allocate(void** data, std::size_t bytes) { return cudaMalloc(data, bytes); }
    static void free(void* data) { cudaFree(data); }
    static std::size_t grown(std::size_t bytes, std::size_t) { return bytes; }
};
using DeviceBuffer = Buffer<DeviceKind>;

/// Page-locked host memory: copies from it run beside kernels and at the link's full speed.
struct PinnedKind {
    static constexpr const char* name = "page-locked host memory";
    static cudaError_t allocate(void** data, std::size_t bytes) {
        return cudaMallocHost(data, bytes);
    }
    static void free(void* data) { cudaFreeHost(data); }
    // Locking pages is slow: grow by halves, so that it happens a few times only.
    static std::size_t grown(std::size_t bytes, std::size_t old) {
        return std::max(bytes, old + old / 2);
    }
};
using PinnedBuffer = Buffer<PinnedKind>;

} // namespace qkov::engine::cuda
