// SPDX-License-Identifier: GPL-3.0-or-later
// The queue of tiles that are read ahead, and its threads.
#include "base/Threads.h"
#include "engine/Tiles.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace qkov::engine {

namespace {

/// Requests that a disk works on at a time: with one it would wait for the next.
constexpr int requestsInFlight = 4;
/// One part in so many of a buffer may be added for the disk's alignment.
constexpr std::int64_t padding = 16;
constexpr auto lookAtJob = std::chrono::milliseconds(20);

bool same(const TileSpec& a, const TileSpec& b) {
    return a.parameter == b.parameter && a.region.row == b.region.row &&
           a.region.rows == b.region.rows && a.region.column == b.region.column &&
           a.region.columns == b.region.columns;
}

} // namespace

Loader::Loader(const Context& context, const std::vector<Bundle>& bundles, const Backend& backend,
               const Plan& plan, bool once, const Job& job)
    : m_context(context)
    , m_bundles(bundles)
    , m_backend(backend)
    , m_job(job)
    , m_limit(plan.tileBytes)
    , m_room(plan.tileBytes + plan.tileBytes / padding)
    , m_pool(static_cast<std::size_t>(std::max<std::int64_t>(0, m_room)))
    , m_usesInPlace(backend.readsInPlace()) {
    for (const Group& group : plan.groups) {
        const int passes = once || group.resident ? 1 : group.passes;
        for (int pass = 0; pass < passes; ++pass) {
            for (const TileSpec& spec : group.tiles) {
                m_order.push_back(wanted(group.bundle, spec, pass + 1 < passes));
            }
        }
    }
}

Loader::~Loader() {
    {
        const std::lock_guard lock(m_mutex);
        m_stop = true;
    }
    m_work.notify_all();
    for (std::thread& thread : m_threads) {
        thread.join();
    }
    m_idle.insert(m_idle.end(), m_used.begin(), m_used.end());
    while (!m_idle.empty()) {
        releaseOldest();
    }
}

Loader::Wanted Loader::wanted(std::size_t bundle, const TileSpec& spec, bool again) const {
    return {bundle, spec,
            tileBytesOf(m_context, m_bundles[bundle].parameters[spec.parameter], spec.region,
                        m_backend),
            again};
}

int Loader::threadCount() {
    return std::max(requestsInFlight, defaultThreadCount());
}

void Loader::push(const Wanted& wanted) {
    auto pending = std::make_shared<Pending>();
    pending->wanted = wanted;
    m_queue.push_back(std::move(pending));
    m_queued += wanted.size.read + wanted.size.more;
    // What a source reads with a lock of its own needs no more than one.
    const int threads = m_context.source->readsInParallel() ? threadCount() : 1;
    while (m_threads.size() < static_cast<std::size_t>(threads)) {
        try {
            m_threads.emplace_back([this] { work(); });
        } catch (const std::system_error&) {
            if (m_threads.empty()) {
                throw;
            }
            break; // slower with fewer
        }
    }
    m_work.notify_all();
}

void Loader::pushMore() {
    while (m_at < m_order.size() && m_taken + m_queued + m_order[m_at].size.read <= m_limit) {
        push(m_order[m_at++]);
    }
}

/// Nobody will take it: no new piece is started, and its memory is free with the last one's end.
void Loader::drop(const std::shared_ptr<Pending>& pending) {
    pending->dropped = true;
    pending->next = pending->pieces.size();
    m_queued -= pending->wanted.size.read + pending->wanted.size.more;
    if (pending->running == 0 && pending->tile) {
        giveBack(*pending->tile);
    }
}

void Loader::ahead(std::size_t bundle, const TileSpec& spec) {
    const std::lock_guard lock(m_mutex);
    if (!m_queue.empty()) {
        return;
    }
    for (std::size_t i = m_at; i < m_order.size(); ++i) {
        if (m_order[i].bundle == bundle && same(m_order[i].spec, spec)) {
            m_at = i + 1;
            push(m_order[i]);
            return;
        }
    }
    push(wanted(bundle, spec, false));
}

std::unique_ptr<LoadedTile> Loader::take(std::size_t bundle, const TileSpec& spec) {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(m_mutex);
    const auto is = [&](const Wanted& w) { return w.bundle == bundle && same(w.spec, spec); };
    const auto found =
        std::find_if(m_queue.begin(), m_queue.end(), [&](const auto& p) { return is(p->wanted); });
    for (auto it = m_queue.begin(); it != found; ++it) {
        drop(*it);
    }
    m_queue.erase(m_queue.begin(), found);
    if (m_queue.empty()) {
        auto next =
            std::find_if(m_order.begin() + static_cast<std::ptrdiff_t>(m_at), m_order.end(), is);
        if (next == m_order.end()) {
            next = std::find_if(m_order.begin(), m_order.end(), is);
        }
        if (next == m_order.end()) {
            push(wanted(bundle, spec, false));
        } else {
            m_at = static_cast<std::size_t>(next - m_order.begin()) + 1;
            push(*next);
        }
    }
    const std::shared_ptr<Pending> pending = m_queue.front();
    m_queue.pop_front();
    const std::int64_t bytes = pending->wanted.size.read + pending->wanted.size.more;
    m_queued -= bytes;
    m_taken += bytes;
    // It stays first in line for the threads until it is read.
    m_current = pending;
    pushMore();
    while (!pending->done()) {
        m_ready.wait_for(lock, lookAtJob);
        if (m_job.token().cancelled()) {
            break;
        }
    }
    m_current = nullptr;
    m_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (!pending->done() || pending->error) {
        const std::exception_ptr error = pending->error;
        m_taken -= bytes;
        m_queued += bytes;
        drop(pending);
        if (error) {
            std::rethrow_exception(error);
        }
        throw Cancelled();
    }
    pending->tile->bytes = bytes;
    return std::move(pending->tile);
}

void Loader::recycle(std::unique_ptr<LoadedTile> tile) {
    for (auto& task : tile->numbers) {
        for (LoadedNumbers& numbers : task) {
            numbers.tile.reset();
        }
    }
    giveBack(*tile);
    const std::lock_guard lock(m_mutex);
    m_taken -= tile->bytes;
    pushMore();
}

void Loader::work() {
    std::unique_lock lock(m_mutex);
    while (!m_stop) {
        if (!step(lock)) {
            m_work.wait(lock);
        }
    }
}

bool Loader::step(std::unique_lock<std::mutex>& lock) {
    std::shared_ptr<Pending> pending;
    if (m_current && m_current->hasWork()) {
        pending = m_current;
    } else {
        const auto it = std::find_if(m_queue.begin(), m_queue.end(),
                                     [](const auto& p) { return p->hasWork(); });
        if (it == m_queue.end()) {
            return false;
        }
        pending = *it;
    }
    const bool first = !pending->started;
    const std::size_t piece = pending->next;
    if (first) {
        pending->started = true;
    } else {
        ++pending->next;
    }
    ++pending->running;
    lock.unlock();
    std::exception_ptr error;
    try {
        m_job.checkCancelled();
        if (first) {
            prepare(*pending);
        } else {
            pending->pieces[piece]();
        }
    } catch (...) {
        error = std::current_exception();
    }
    lock.lock();
    finishStep(*pending, error);
    return true;
}

void Loader::finishStep(Pending& pending, std::exception_ptr error) {
    --pending.running;
    if (!pending.prepared) {
        pending.prepared = true;
        m_work.notify_all();
    }
    if (error && !pending.error) {
        pending.error = std::move(error);
    }
    if (pending.error || pending.dropped) {
        pending.next = pending.pieces.size();
        pending.after.clear();
    }
    if (!pending.done()) {
        return;
    }
    if (pending.dropped) {
        if (pending.tile) {
            giveBack(*pending.tile);
        }
    } else if (!pending.after.empty()) {
        pending.pieces = std::exchange(pending.after, {});
        pending.next = 0;
        m_work.notify_all();
    } else {
        m_ready.notify_all();
    }
}

} // namespace qkov::engine
