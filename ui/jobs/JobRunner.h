// SPDX-License-Identifier: GPL-3.0-or-later
// Long work off the UI thread: one lane, one job at a time, the newest wins.
#pragma once

#include "base/Job.h"

#include <QObject>
#include <QString>

#include <exception>
#include <functional>
#include <memory>

class QThread;

namespace qkov::ui {

class JobContext;

/// Owns one worker thread. Starting a job cancels the one that runs; whatever a job that is no
/// longer current still delivers is dropped. All functions and signals belong to the UI thread.
class JobRunner : public QObject {
    Q_OBJECT

  public:
    /// Runs on the UI thread, if the job is still current.
    using Delivery = std::function<void()>;
    /// Runs on the worker; the delivery it returns applies its result. May be null.
    using Work = std::function<Delivery(JobContext&)>;

    explicit JobRunner(QObject* parent = nullptr);
    /// Cancels and waits for the worker.
    ~JobRunner() override;

    void start(Work work);
    /// At once for the caller: the job is no longer running and delivers nothing more. The worker
    /// itself stops at its next poll.
    void cancel();
    bool running() const { return m_current != nullptr; }
    const Progress& progress() const { return m_progress; }
    /// True when no thread is busy with a job any more, not even with a cancelled one.
    bool drained() const;

  signals:
    void started();
    void progressed(const qkov::Progress& progress);
    void finished();
    void failed(std::exception_ptr error);
    void cancelled();

  private:
    friend class JobContext;
    struct Run;
    void post(const std::shared_ptr<Run>& run, Delivery delivery);
    /// Asks the UI thread to fetch the run's newest progress and partial result, once however often
    /// it is called meanwhile: a slow UI thread is never flooded.
    void wake(const std::shared_ptr<Run>& run);
    void fetch(const std::shared_ptr<Run>& run);

    QThread* m_thread = nullptr;
    QObject* m_worker = nullptr;
    std::shared_ptr<Run> m_current;
    std::shared_ptr<std::atomic<int>> m_pending;
    Progress m_progress;
};

/// What work is given on the worker thread.
class JobContext {
  public:
    Job& job() { return *m_job; }
    void checkCancelled() const { m_job->checkCancelled(); }
    /// Delivers an intermediate result. When the UI is slower than the worker only the newest of
    /// them arrives.
    void deliver(JobRunner::Delivery delivery);

  private:
    friend class JobRunner;
    JobContext(JobRunner* runner, std::shared_ptr<JobRunner::Run> run, Job* job);
    JobRunner* m_runner;
    std::shared_ptr<JobRunner::Run> m_run;
    Job* m_job;
};

} // namespace qkov::ui
