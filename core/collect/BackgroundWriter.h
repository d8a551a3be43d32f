// SPDX-License-Identifier: GPL-3.0-or-later
// A thread that writes finished batches. Torch.
#pragma once

#include "collect/HostCopy.h"

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace qkov::collect {

/// Takes finished batches off the model's hands while it works on the next one.
class BackgroundWriter {
  public:
    struct Batch {
        std::size_t task = 0, batch = 0;
        std::vector<double> losses;
        PackedBatch packed;
        Payload payload; ///< once it is fetched
    };
    using Write = std::function<void(Batch)>;

    explicit BackgroundWriter(Write write)
        : m_write(std::move(write))
        , m_thread([this] { loop(); }) {}
    ~BackgroundWriter() { stop(); }

    /// Blocks while the previous batch still waits. @throws what writing it threw
    void put(Batch batch) {
        std::unique_lock lock(m_mutex);
        m_changed.wait(lock, [&] { return !m_next || m_error; });
        rethrow();
        m_next = std::move(batch);
        m_changed.notify_all();
    }
    /// All written. @throws likewise
    void finish() {
        stop();
        rethrow();
    }

  private:
    void rethrow() {
        if (m_error) {
            std::rethrow_exception(m_error);
        }
    }
    void stop() {
        {
            const std::lock_guard lock(m_mutex);
            m_ending = true;
        }
        m_changed.notify_all();
        if (m_thread.joinable()) {
            m_thread.join();
        }
    }
    void loop() {
        std::unique_lock lock(m_mutex);
        while (true) {
            m_changed.wait(lock, [&] { return m_next || m_ending; });
            if (!m_next) {
                return;
            }
            Batch batch = std::move(*m_next);
            m_next.reset();
            m_changed.notify_all();
            lock.unlock();
            try {
                batch.payload = fetch(std::move(batch.packed));
                m_write(std::move(batch));
                lock.lock();
            } catch (...) {
                lock.lock();
                m_error = std::current_exception();
                m_changed.notify_all();
                return;
            }
        }
    }

    Write m_write;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::optional<Batch> m_next;
    std::exception_ptr m_error;
    bool m_ending = false;
    std::thread m_thread;
};

} // namespace qkov::collect
