// SPDX-License-Identifier: GPL-3.0-or-later
// One mechanism for long work: a token that cancels it, and progress that never goes back.
#pragma once

#include "base/Error.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace qkov {

/// Copies share one flag. cancel() may be called from any thread, or a signal handler.
class CancelToken {
  public:
    void cancel() const noexcept { m_flag->store(true, std::memory_order_relaxed); }
    bool cancelled() const noexcept { return m_flag->load(std::memory_order_relaxed); }

  private:
    std::shared_ptr<std::atomic<bool>> m_flag = std::make_shared<std::atomic<bool>>(false);
};

struct Progress {
    std::string stage;   ///< "Scoring layer 7 of 12"
    double fraction = 0; ///< of the whole job, 0..1, never decreasing
    double elapsedSeconds = 0;
    double remainingSeconds = -1; ///< < 0: not known yet
};

/// What long work is given. Thread-safe: workers may report and poll concurrently.
class Job {
  public:
    using Sink = std::function<void(const Progress&)>;

    /// @param sink called at most every `interval`, at each new stage and at the end, from
    ///        whichever thread reports. Calls are serialised.
    explicit Job(CancelToken token = {}, Sink sink = {},
                 std::chrono::milliseconds interval = std::chrono::milliseconds(50));

    const CancelToken& token() const { return m_token; }
    /// Throws Cancelled if cancel() was called. Cheap: one relaxed load.
    void checkCancelled() const {
        if (m_token.cancelled()) {
            throw Cancelled();
        }
    }
    /// Begin a stage that covers the job's fractions [begin, end].
    void stage(std::string name, double begin, double end);
    /// Rename the running stage without changing its range ("layer 3 of 12").
    void rename(std::string name);
    /// Fraction of the running stage that is done, 0..1. Smaller values than before are ignored.
    void advance(double fractionOfStage);
    /// Report 100%.
    void finish();
    /// Name the running stage and advance it, in one report.
    void follow(std::string stage, double fractionOfStage);

  private:
    void report(bool force);

    CancelToken m_token;
    Sink m_sink;
    std::chrono::milliseconds m_interval;
    std::mutex m_mutex;
    std::string m_stage;
    double m_begin = 0;
    double m_end = 1;
    double m_fraction = 0;
    std::chrono::steady_clock::time_point m_start;
    std::chrono::steady_clock::time_point m_lastReport;
};

/// A job for one of several parts of the work: what it reports moves the whole, which must outlive
/// it, from `begin` to `end`, under its own stages' names. Cancelled with the whole.
Job partOf(Job& whole, double begin, double end);

} // namespace qkov
