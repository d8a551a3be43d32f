// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace qkov {

int defaultThreadCount() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return std::max(1, CPU_COUNT(&set));
    }
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallelFor(std::size_t count, int threads,
                 const std::function<void(std::size_t, int)>& body) {
    const auto workers =
        static_cast<int>(std::min<std::size_t>(count, static_cast<std::size_t>(std::max(1, threads))));
    if (workers <= 1) {
        for (std::size_t i = 0; i < count; ++i) {
            body(i, 0);
        }
        return;
    }
    std::atomic<std::size_t> next{0};
    std::atomic<bool> stop{false};
    std::exception_ptr first;
    std::mutex mutex;
    auto work = [&](int worker) {
        try {
            while (!stop.load(std::memory_order_relaxed)) {
                const std::size_t i = next.fetch_add(1);
                if (i >= count) {
                    return;
                }
                body(i, worker);
            }
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!first) {
                first = std::current_exception();
            }
            stop = true;
        }
    };
    {
        std::vector<std::jthread> pool;
        pool.reserve(static_cast<std::size_t>(workers - 1));
        for (int w = 1; w < workers; ++w) {
            pool.emplace_back(work, w);
        }
        work(0);
    }
    if (first) {
        std::rethrow_exception(first);
    }
}

} // namespace qkov
