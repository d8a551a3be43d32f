// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Job.h"

#include <algorithm>

namespace qkov {

using Clock = std::chrono::steady_clock;

Job::Job(CancelToken token, Sink sink, std::chrono::milliseconds interval)
    : m_token(std::move(token))
    , m_sink(std::move(sink))
    , m_interval(interval)
    , m_start(Clock::now()) {}

void Job::stage(std::string name, double begin, double end) {
    const std::lock_guard lock(m_mutex);
    m_stage = std::move(name);
    m_begin = std::clamp(begin, 0.0, 1.0);
    m_end = std::clamp(end, m_begin, 1.0);
    m_fraction = std::max(m_fraction, m_begin);
    report(true);
}

void Job::rename(std::string name) {
    const std::lock_guard lock(m_mutex);
    m_stage = std::move(name);
    report(false);
}

void Job::advance(double fractionOfStage) {
    const std::lock_guard lock(m_mutex);
    const double f = m_begin + (m_end - m_begin) * std::clamp(fractionOfStage, 0.0, 1.0);
    m_fraction = std::max(m_fraction, f);
    report(false);
}

void Job::follow(std::string stage, double fractionOfStage) {
    const std::lock_guard lock(m_mutex);
    const bool renamed = stage != m_stage;
    m_stage = std::move(stage);
    const double f = m_begin + (m_end - m_begin) * std::clamp(fractionOfStage, 0.0, 1.0);
    m_fraction = std::max(m_fraction, f);
    report(renamed);
}

void Job::finish() {
    const std::lock_guard lock(m_mutex);
    m_fraction = 1;
    report(true);
}

void Job::report(bool force) {
    if (!m_sink) {
        return;
    }
    const auto now = Clock::now();
    if (!force && now - m_lastReport < m_interval) {
        return;
    }
    m_lastReport = now;
    Progress p;
    p.stage = m_stage;
    p.fraction = m_fraction;
    p.elapsedSeconds = std::chrono::duration<double>(now - m_start).count();
    // Below 2% the estimate is noise.
    if (m_fraction >= 0.02) {
        p.remainingSeconds = p.elapsedSeconds * (1 - m_fraction) / m_fraction;
    }
    m_sink(p);
}

Job partOf(Job& whole, double begin, double end) {
    return Job(whole.token(), [&whole, begin, end](const Progress& p) {
        whole.follow(p.stage, begin + (end - begin) * p.fraction);
    });
}

} // namespace qkov
