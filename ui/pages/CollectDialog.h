// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "collect/Collect.h"

#include <QDialog>

#include <memory>
#include <vector>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;
class QTimer;
class QVBoxLayout;

namespace qkov::ui {

class JobRunner;

/// Model folder and sample files in, request out. The estimate of memory, disk and time is made
/// while the dialog is filled in, before anything runs.
class CollectDialog : public QDialog {
    Q_OBJECT

  public:
    /// Sample files (*.jsonl) in the model's folder are listed to begin with.
    explicit CollectDialog(const QString& model, QWidget* parent = nullptr);
    ~CollectDialog() override;

    collect::CollectRequest request() const;
    QString estimateText() const;
    bool estimating() const;
    void addTask(const QString& name, const QString& file);
    void setOutput(const QString& file);

  private:
    struct TaskRow;
    void buildOptions(QFormLayout* form);
    void removeTask(TaskRow* row);
    void changed();
    void estimate();
    /// What still has to be filled in; empty: nothing.
    QString problem() const;

    QString m_model;
    std::vector<std::unique_ptr<TaskRow>> m_rows;
    QVBoxLayout* m_tasks;
    QLineEdit* m_output;
    QComboBox* m_storage;
    QComboBox* m_dtype;
    QComboBox* m_loss;
    QComboBox* m_device = nullptr;
    QSpinBox* m_maxSamples;
    QSpinBox* m_maxTokens;
    QCheckBox* m_double;
    QCheckBox* m_fisher;
    QCheckBox* m_types;
    QDoubleSpinBox* m_decay;
    QLabel* m_estimate;
    QPushButton* m_run;
    QTimer* m_timer;
    JobRunner* m_runner;
};

} // namespace qkov::ui
