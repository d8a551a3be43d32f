// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"

#include <QWidget>

class QProgressBar;
class QPushButton;

namespace qkov::ui {

class ElidedLabel;

/// The line at the window's foot: what runs, how far it is, how long it takes, and Cancel; at rest,
/// what is shown. Always the same height, so that nothing moves.
class JobBar : public QWidget {
    Q_OBJECT

  public:
    explicit JobBar(QWidget* parent = nullptr);
    void setIdle(const QString& text);
    void setRunning(const QString& title);
    void setProgress(const Progress& progress);
    bool running() const { return m_running; }
    QString text() const;

  signals:
    void cancelRequested();

  private:
    ElidedLabel* m_text;
    QProgressBar* m_bar;
    QPushButton* m_cancel;
    bool m_running = false;
};

} // namespace qkov::ui
