// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/Tiles.h"

namespace qkov::engine {

BufferPool::Buffer BufferPool::take(std::size_t bytes) {
    const std::lock_guard lock(m_mutex);
    auto best = m_free.end();
    for (auto it = m_free.begin(); it != m_free.end(); ++it) {
        if (it->capacity >= bytes && (best == m_free.end() || it->capacity < best->capacity)) {
            best = it;
        }
    }
    // One that is far too large would hide memory from the budget.
    if (best != m_free.end() && best->capacity <= bytes + bytes / 8 + 65536) {
        Buffer buffer = std::move(*best);
        m_free.erase(best);
        return buffer;
    }
    const std::size_t size = LargeMemory::sizeFor(bytes);
    // The longest unused go first: their size may not come again.
    while (!m_free.empty() && m_bytes + size > m_limit) {
        m_bytes -= m_free.front().capacity;
        m_free.erase(m_free.begin());
    }
    Buffer buffer{LargeMemory::allocate(bytes), size};
    m_bytes += size;
    return buffer;
}

std::int64_t BufferPool::bytes() {
    const std::lock_guard lock(m_mutex);
    return static_cast<std::int64_t>(m_bytes);
}

void BufferPool::give(Buffer buffer) {
    if (buffer.data) {
        {
            const std::lock_guard lock(m_mutex);
            m_free.push_back(std::move(buffer));
        }
        trim(static_cast<std::int64_t>(m_limit));
    }
}

void BufferPool::trim(std::int64_t bytes) {
    const std::lock_guard lock(m_mutex);
    while (!m_free.empty() && static_cast<std::int64_t>(m_bytes) > bytes) {
        m_bytes -= m_free.front().capacity;
        m_free.erase(m_free.begin());
    }
}

} // namespace qkov::engine
