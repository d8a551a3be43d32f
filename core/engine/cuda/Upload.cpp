// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/Upload.h"

#include "base/Threads.h"

#include <algorithm>
#include <cstring>

namespace qkov::engine::cuda {
namespace {

constexpr std::size_t laneBuffer = std::size_t(4) << 20;

} // namespace

Uploader::Uploader(int device, int threads)
    : m_device(device)
    , m_lanes(static_cast<std::size_t>(std::max(1, threads))) {}

Uploader::~Uploader() {
    for (Lane& lane : m_lanes) {
        if (lane.stream) {
            cudaStreamSynchronize(lane.stream);
            cudaEventDestroy(lane.free[0]);
            cudaEventDestroy(lane.free[1]);
            cudaStreamDestroy(lane.stream);
        }
    }
}

void Uploader::copy(void* target, const void* source, std::size_t bytes, const Job& job) {
    if (bytes == 0) {
        return;
    }
    const std::size_t count = (bytes + laneBuffer - 1) / laneBuffer;
    const int threads = static_cast<int>(std::min(count, m_lanes.size()));
    const auto settle = [&] {
        for (Lane& lane : m_lanes) {
            if (lane.stream) {
                check(cudaStreamSynchronize(lane.stream), "copy to the device");
            }
        }
    };
    try {
        parallelFor(count, threads, [&](std::size_t index, int worker) {
            job.checkCancelled();
            check(cudaSetDevice(m_device), "device selection");
            Lane& lane = m_lanes[static_cast<std::size_t>(worker)];
            if (!lane.stream) {
                check(cudaEventCreateWithFlags(&lane.free[0], cudaEventDisableTiming), "event");
                check(cudaEventCreateWithFlags(&lane.free[1], cudaEventDisableTiming), "event");
                check(cudaStreamCreateWithFlags(&lane.stream, cudaStreamNonBlocking), "stream");
            }
            PinnedBuffer& buffer = lane.buffers[lane.next];
            buffer.reserve(laneBuffer);
            check(cudaEventSynchronize(lane.free[lane.next]), "copy to the device");
            const std::size_t at = index * laneBuffer;
            const std::size_t size = std::min(laneBuffer, bytes - at);
            std::memcpy(buffer.as<void>(), static_cast<const char*>(source) + at, size);
            check(cudaMemcpyAsync(static_cast<char*>(target) + at, buffer.as<void>(), size,
                                  cudaMemcpyHostToDevice, lane.stream),
                  "copy to the device");
            check(cudaEventRecord(lane.free[lane.next], lane.stream), "copy to the device");
            lane.next ^= 1;
        });
    } catch (...) {
        for (Lane& lane : m_lanes) { // nothing may still write to the target
            if (lane.stream) {
                cudaStreamSynchronize(lane.stream);
            }
        }
        throw;
    }
    settle();
}

TableStore::TableStore() {
    check(cudaEventCreateWithFlags(&m_sent, cudaEventDisableTiming), "event");
}

TableStore::~TableStore() {
    cudaEventDestroy(m_sent);
}

const unsigned char* TableStore::send(const Tables& tables, cudaStream_t stream) {
    const auto& bytes = tables.bytes();
    check(cudaEventSynchronize(m_sent), "work tables"); // the last ones may be on their way
    m_device.reserve(bytes.size()); // freeing waits for kernels that still read the old memory
    m_host.reserve(bytes.size());
    if (!bytes.empty()) {
        std::memcpy(m_host.as<void>(), bytes.data(), bytes.size());
        check(cudaMemcpyAsync(m_device.as<void>(), m_host.as<void>(), bytes.size(),
                              cudaMemcpyHostToDevice, stream),
              "work tables");
        check(cudaEventRecord(m_sent, stream), "work tables");
    }
    return m_device.as<unsigned char>();
}

} // namespace qkov::engine::cuda
