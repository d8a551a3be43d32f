// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "collect/Collect.h"

#include <QDialog>

#include <memory>
#include <vector>

class QCheckBox;
class QComboBox;
class QLineEdit;
class QPushButton;
class QTimer;
class QVBoxLayout;

namespace qkov::ui {

class CollectOptionsForm;
class JobRunner;
class PathField;
class StatusLine;

/// Model folder and sample files in, request out. The estimate of memory, disk and time is made
/// while the dialog is filled in, before anything runs; nothing can be started without it.
class CollectDialog : public QDialog {
    Q_OBJECT

  public:
    /// What was chosen for this model the last time, else the sample files (*.jsonl) in its folder.
    explicit CollectDialog(const QString& model, QWidget* parent = nullptr);
    ~CollectDialog() override;

    collect::CollectRequest request() const;
    QString estimateText() const;
    bool estimating() const;
    void addTask(const QString& name, const QString& file);
    void setOutput(const QString& file);
    QPushButton* runButton() const { return m_run; }
    StatusLine* status() const { return m_estimate; }
    /// For the next time.
    void remember() const;

  protected:
    void showEvent(QShowEvent* event) override;

  private:
    struct TaskRow;
    void buildTasks(QVBoxLayout* column);
    void buildFiles();
    void restore();
    void removeTask(TaskRow* row);
    void changed();
    void estimate();
    void showEstimate(const collect::CollectEstimate& estimate);
    void showFailure(std::exception_ptr error);
    /// A TorchScript module beside the config; empty: none.
    QString scriptFile() const;
    /// The model is a module, and there is no checkpoint that could be run instead.
    bool onlyScript() const;
    bool runsScript() const;
    /// What still has to be filled in; empty: nothing.
    QString problem() const;
    QStringList inputs() const;

    QString m_model;
    QString m_folder;
    std::vector<std::unique_ptr<TaskRow>> m_rows;
    QVBoxLayout* m_tasks = nullptr;
    QComboBox* m_runs = nullptr;
    PathField* m_layout = nullptr;
    PathField* m_output = nullptr;
    QCheckBox* m_resume = nullptr;
    CollectOptionsForm* m_options;
    StatusLine* m_estimate;
    QPushButton* m_run;
    QTimer* m_timer;
    JobRunner* m_runner;
    bool m_ready = false; ///< built
};

} // namespace qkov::ui
