// SPDX-License-Identifier: GPL-3.0-or-later
// Host data to the device at the link's speed.
#pragma once

#include "base/Job.h"
#include "engine/cuda/DeviceBuffer.h"

#include <cstddef>
#include <vector>

namespace qkov::engine::cuda {

/// Copies through page-locked buffers, several threads filling them while earlier ones travel.
class Uploader {
  public:
    Uploader(int device, int threads);
    ~Uploader();
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;

    /// On return the data is on the device. Polls the job. @throws Cancelled, Error
    void copy(void* target, const void* source, std::size_t bytes, const Job& job);

  private:
    struct Lane {
        cudaStream_t stream = nullptr;
        PinnedBuffer buffers[2];
        cudaEvent_t free[2] = {};
        int next = 0;
    };
    int m_device;
    std::vector<Lane> m_lanes;
};

/// Small tables of an operation, collected on the host and sent in one copy.
class Tables {
  public:
    /// Offset of the values once sent.
    template <class T>
    std::size_t add(const std::vector<T>& values) {
        const std::size_t at = (m_bytes.size() + 127) / 128 * 128;
        m_bytes.resize(at + values.size() * sizeof(T));
        if (!values.empty()) {
            __builtin_memcpy(m_bytes.data() + at, values.data(), values.size() * sizeof(T));
        }
        return at;
    }
    const std::vector<unsigned char>& bytes() const { return m_bytes; }

  private:
    std::vector<unsigned char> m_bytes;
};

/// Device and page-locked memory for tables; one operation's at a time.
class TableStore {
  public:
    TableStore();
    ~TableStore();
    TableStore(const TableStore&) = delete;
    TableStore& operator=(const TableStore&) = delete;

    /// Sends the tables on `stream`, after what is there; returns their device address.
    const unsigned char* send(const Tables& tables, cudaStream_t stream);

  private:
    DeviceBuffer m_device;
    PinnedBuffer m_host;
    cudaEvent_t m_sent = nullptr;
};

} // namespace qkov::engine::cuda
