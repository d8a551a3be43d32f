// SPDX-License-Identifier: GPL-3.0-or-later
#include "jobs/JobRunner.h"

#include <QMetaObject>
#include <QThread>

#include <mutex>
#include <optional>

namespace qkov::ui {

struct JobRunner::Run {
    CancelToken token;
    std::mutex mutex;
    // The newest progress and partial result that the UI thread has not fetched yet.
    std::optional<Progress> progress;
    Delivery partial;
    bool wakeupPosted = false;
};

JobRunner::JobRunner(QObject* parent)
    : QObject(parent)
    , m_thread(new QThread(this))
    , m_worker(new QObject)
    , m_pending(std::make_shared<std::atomic<int>>(0)) {
    m_worker->moveToThread(m_thread);
    m_thread->start();
}

JobRunner::~JobRunner() {
    if (m_current) {
        m_current->token.cancel();
    }
    m_current.reset();
    m_thread->quit();
    m_thread->wait();
    delete m_worker;
}

bool JobRunner::drained() const {
    return m_pending->load() == 0;
}

void JobRunner::post(const std::shared_ptr<Run>& run, Delivery delivery) {
    QMetaObject::invokeMethod(
        this,
        [this, run, d = std::move(delivery)] {
            if (m_current == run) {
                d();
            }
        },
        Qt::QueuedConnection);
}

void JobRunner::wake(const std::shared_ptr<Run>& run) {
    {
        const std::lock_guard lock(run->mutex);
        if (run->wakeupPosted) {
            return;
        }
        run->wakeupPosted = true;
    }
    post(run, [this, run] { fetch(run); });
}

void JobRunner::fetch(const std::shared_ptr<Run>& run) {
    std::optional<Progress> progress;
    Delivery partial;
    {
        const std::lock_guard lock(run->mutex);
        run->wakeupPosted = false;
        progress.swap(run->progress);
        partial.swap(run->partial);
    }
    if (partial) {
        partial();
    }
    if (progress && m_current == run) {
        m_progress = *progress;
        emit progressed(m_progress);
    }
}

void JobRunner::start(Work work) {
    if (m_current) {
        m_current->token.cancel();
    }
    auto run = std::make_shared<Run>();
    m_current = run;
    m_progress = {};
    m_pending->fetch_add(1);
    QMetaObject::invokeMethod(
        m_worker,
        [this, run, w = std::move(work), pending = m_pending]() mutable {
            Job job(run->token, [this, run](const Progress& p) {
                {
                    const std::lock_guard lock(run->mutex);
                    run->progress = p;
                }
                wake(run);
            });
            JobContext context(this, run, &job);
            Delivery delivery;
            std::exception_ptr error;
            bool wasCancelled = false;
            try {
                job.checkCancelled();
                delivery = w(context);
            } catch (const Cancelled&) {
                wasCancelled = true;
            } catch (...) {
                error = std::current_exception();
            }
            w = nullptr; // what the work holds is released here, not on the UI thread
            pending->fetch_sub(1);
            post(run, [this, d = std::move(delivery), error, wasCancelled] {
                m_current.reset();
                if (wasCancelled) {
                    emit cancelled();
                } else if (error) {
                    emit failed(error);
                } else {
                    if (d) {
                        d();
                    }
                    if (!m_current) { // the delivery may have started the next job
                        emit finished();
                    }
                }
            });
        },
        Qt::QueuedConnection);
    emit started();
}

void JobRunner::cancel() {
    if (!m_current) {
        return;
    }
    m_current->token.cancel();
    // A partial result that waits to be fetched is newer than what is shown: keep it.
    fetch(std::shared_ptr(m_current));
    m_current.reset();
    emit cancelled();
}

JobContext::JobContext(JobRunner* runner, std::shared_ptr<JobRunner::Run> run, Job* job)
    : m_runner(runner)
    , m_run(std::move(run))
    , m_job(job) {}

void JobContext::deliver(JobRunner::Delivery delivery) {
    {
        const std::lock_guard lock(m_run->mutex);
        m_run->partial = std::move(delivery);
    }
    m_runner->wake(m_run);
}

} // namespace qkov::ui
