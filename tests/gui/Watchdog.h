// SPDX-License-Identifier: GPL-3.0-or-later
// How long the UI thread is busy with one event.
#pragma once

#include <QApplication>
#include <QElapsedTimer>
#include <QThread>

#include <algorithm>
#include <ctime>

namespace qkov::test {

/// An application that times every event it handles: by the clock, and by the thread's own CPU
/// time, which a loaded machine does not lengthen.
class WatchedApplication : public QApplication {
  public:
    using QApplication::QApplication;

    void restart() { m_longestCpu = m_longestWall = 0; }
    double longestCpuMs() const { return m_longestCpu; }
    double longestWallMs() const { return m_longestWall; }
    QString longestEvent() const { return m_what; }

    bool notify(QObject* receiver, QEvent* event) override {
        if (QThread::currentThread() != thread()) {
            return QApplication::notify(receiver, event); // a worker's event
        }
        if (m_depth > 0) {
            return QApplication::notify(receiver, event);
        }
        ++m_depth;
        const QString what = QStringLiteral("%1 event %2")
                                 .arg(QString::fromLatin1(receiver->metaObject()->className()))
                                 .arg(event->type());
        QElapsedTimer wall;
        wall.start();
        const double cpu = cpuMs();
        const bool handled = QApplication::notify(receiver, event);
        const double used = cpuMs() - cpu;
        if (used > m_longestCpu) {
            m_longestCpu = used;
            m_what = what;
        }
        m_longestWall = std::max(m_longestWall, static_cast<double>(wall.nsecsElapsed()) / 1e6);
        --m_depth;
        return handled;
    }

  private:
    static double cpuMs() {
        timespec t{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
    }
    int m_depth = 0;
    double m_longestCpu = 0;
    double m_longestWall = 0;
    QString m_what;
};

} // namespace qkov::test
