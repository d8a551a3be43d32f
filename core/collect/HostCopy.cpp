// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/HostCopy.h"

#include "base/Threads.h"

#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>

namespace qkov::collect {
namespace {

constexpr std::int64_t chunk = std::int64_t(32) << 20;
constexpr std::int64_t piece = std::int64_t(2) << 20; ///< of a chunk, for one thread

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

Payload fetch(PackedBatch packed) {
    if (!packed.image.defined()) {
        return std::move(packed.payload);
    }
    const c10::NoGradGuard noGrad;
    const c10::Device device = packed.image.device();
    const std::int64_t bytes = packed.image.numel();
    Payload payload(static_cast<std::size_t>(bytes));
    const c10::impl::VirtualGuardImpl guard(device.type());
    // Page-locked buffers, one filled by the GPU while the other is emptied.
    const c10::Stream streams[2] = {guard.getStreamFromGlobalPool(device),
                                    guard.getStreamFromGlobalPool(device)};
    at::Tensor buffers[2];
    for (int i = 0; i < 2; ++i) {
        packed.made->block(streams[i]);
        buffers[i] =
            at::empty({std::min(bytes, chunk)}, at::TensorOptions(at::kByte).pinned_memory(true));
    }
    const int threads = std::min(16, defaultThreadCount());
    StreamScope scope(device);
    const std::int64_t chunks = (bytes + chunk - 1) / chunk;
    for (std::int64_t i = 0; i <= chunks; ++i) {
        if (i < chunks) {
            const std::int64_t n = std::min(chunk, bytes - i * chunk);
            scope.use(streams[i % 2]);
            buffers[i % 2].narrow(0, 0, n).copy_(packed.image.narrow(0, i * chunk, n), true);
        }
        if (i > 0) {
            const std::int64_t begin = (i - 1) * chunk;
            const std::int64_t n = std::min(chunk, bytes - begin);
            streams[(i - 1) % 2].synchronize();
            const auto* from = static_cast<const std::byte*>(buffers[(i - 1) % 2].data_ptr());
            parallelFor(static_cast<std::size_t>((n + piece - 1) / piece), threads,
                        [&](std::size_t p, int) {
                            const std::int64_t at = static_cast<std::int64_t>(p) * piece;
                            std::memcpy(payload.data() + begin + at, from + at,
                                        static_cast<std::size_t>(std::min(piece, n - at)));
                        });
        }
    }
    return payload;
}

} // namespace qkov::collect
