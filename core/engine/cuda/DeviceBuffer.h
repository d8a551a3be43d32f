// SPDX-License-Identifier: GPL-3.0-or-later
// Owners of device and pinned host memory; they grow and are reused.
#pragma once

#include "engine/cuda/CudaError.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace qkov::engine::cuda {

/// Device memory of plain bytes. reserve() keeps what is there when it is large enough, else the
/// content is lost.
class DeviceBuffer {
  public:
    DeviceBuffer() = default;
    DeviceBuffer(DeviceBuffer&& o) noexcept
        : m_data(std::exchange(o.m_data, nullptr))
        , m_size(std::exchange(o.m_size, 0)) {}
    DeviceBuffer& operator=(DeviceBuffer&& o) noexcept {
        std::swap(m_data, o.m_data);
        std::swap(m_size, o.m_size);
        return *this;
    }
    ~DeviceBuffer() { release(); }

    /// @throws OutOfDeviceMemory (the buffer is then empty)
    void reserve(std::size_t bytes) {
        if (bytes <= m_size) {
            return;
        }
        release();
        check(cudaMalloc(&m_data, bytes), "device memory");
        m_size = bytes;
    }
    void release() noexcept {
        if (m_data) {
            cudaFree(m_data);
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

/// Page-locked host memory: copies from it run beside kernels and at the link's full speed.
class PinnedBuffer {
  public:
    PinnedBuffer() = default;
    PinnedBuffer(PinnedBuffer&& o) noexcept
        : m_data(std::exchange(o.m_data, nullptr))
        , m_size(std::exchange(o.m_size, 0)) {}
    PinnedBuffer& operator=(PinnedBuffer&& o) noexcept {
        std::swap(m_data, o.m_data);
        std::swap(m_size, o.m_size);
        return *this;
    }
    ~PinnedBuffer() { release(); }

    void reserve(std::size_t bytes) {
        if (bytes <= m_size) {
            return;
        }
        // Locking pages is slow: grow by halves, so that it happens a few times only.
        const std::size_t size = std::max(bytes, m_size + m_size / 2);
        release();
        check(cudaMallocHost(&m_data, size), "page-locked host memory");
        m_size = size;
    }
    void release() noexcept {
        if (m_data) {
            cudaFreeHost(m_data);
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

} // namespace qkov::engine::cuda
