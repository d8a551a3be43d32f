// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/HostCopy.h"

#include "base/Threads.h"

#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace qkov::collect {
namespace {

constexpr std::int64_t piece = std::int64_t(8) << 20; ///< that a thread brings over at a time
constexpr int mostThreads = 16;                       ///< more than the link can feed

/// Sets the thread's stream for a while.
class StreamScope {
  public:
    explicit StreamScope(c10::Device device)
        : m_guard(device.type())
        , m_before(m_guard.getStream(device)) {}
    ~StreamScope() { m_guard.exchangeStream(m_before); }
    StreamScope(const StreamScope&) = delete;
    StreamScope& operator=(const StreamScope&) = delete;
    void use(c10::Stream stream) { m_guard.exchangeStream(stream); }

  private:
    c10::impl::VirtualGuardImpl m_guard;
    c10::Stream m_before;
};

} // namespace

Payload roomFor(std::size_t bytes) {
    Payload payload(bytes);
    constexpr std::size_t page = 4096;
    constexpr auto size = static_cast<std::size_t>(piece);
    parallelFor((bytes + size - 1) / size, std::min(mostThreads, defaultThreadCount()),
                [&](std::size_t i, int) {
                    const std::size_t end = std::min(bytes, (i + 1) * size);
                    for (std::size_t at = i * size; at < end; at += page) {
                        payload[at] = std::byte(0);
                    }
                });
    return payload;
}

Payload fetch(PackedBatch packed) {
    if (!packed.image.defined()) {
        return std::move(packed.payload);
    }
    const c10::NoGradGuard noGrad;
    const c10::Device device = packed.image.device();
    const std::int64_t bytes = packed.image.numel();
    Payload payload = std::move(packed.payload);
    if (payload.size() != static_cast<std::size_t>(bytes)) {
        payload = Payload(static_cast<std::size_t>(bytes));
    }
    const c10::impl::VirtualGuardImpl guard(device.type());
    // Each thread has a page-locked buffer: while it empties that, others' are being filled.
    const std::int64_t pieces = (bytes + piece - 1) / piece;
    const int threads = static_cast<int>(std::min<std::int64_t>(
        {mostThreads, defaultThreadCount(), std::max<std::int64_t>(1, pieces)}));
    std::vector<c10::Stream> streams;
    std::vector<at::Tensor> buffers;
    for (int w = 0; w < threads; ++w) {
        streams.push_back(guard.getStreamFromGlobalPool(device));
        packed.made->block(streams.back());
        buffers.push_back(
            at::empty({std::min(bytes, piece)}, at::TensorOptions(at::kByte).pinned_memory(true)));
    }
    parallelFor(static_cast<std::size_t>(pieces), threads, [&](std::size_t i, int worker) {
        const c10::NoGradGuard noGradHere;
        const std::int64_t begin = static_cast<std::int64_t>(i) * piece;
        const std::int64_t n = std::min(piece, bytes - begin);
        const auto w = static_cast<std::size_t>(worker);
        StreamScope scope(device);
        scope.use(streams[w]);
        buffers[w].narrow(0, 0, n).copy_(packed.image.narrow(0, begin, n), true);
        streams[w].synchronize();
        std::memcpy(payload.data() + begin, buffers[w].data_ptr(), static_cast<std::size_t>(n));
    });
    return payload;
}

} // namespace qkov::collect
