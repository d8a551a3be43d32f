// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "dump/Import.h"

#include <QDialog>

#include <memory>
#include <vector>

class QComboBox;
class QFormLayout;
class QLabel;
class QPushButton;
class QScrollArea;
class QTimer;
class QVBoxLayout;

namespace qkov::ui {

class JobRunner;
class PathField;
class StatusLine;

/// Gradient stores of other tools in, request out. What the stores hold, and what the dump will
/// take, is read while the dialog is filled in; what is wrong stands below the field it is about.
class ImportDialog : public QDialog {
    Q_OBJECT

  public:
    /// @param folder where browsing begins
    explicit ImportDialog(const QString& folder, QWidget* parent = nullptr);
    ~ImportDialog() override;

    dump::ImportRequest request() const;
    void addTask(const QString& name, const QString& store, const QString& samples = {});
    void setConfig(const QString& file);
    void setLayoutFile(const QString& file);
    void setOutput(const QString& file);
    /// The stores are being read.
    bool reading() const;
    StatusLine* summary() const { return m_summary; }
    StatusLine* taskStatus(std::size_t task) const;
    QPushButton* importButton() const { return m_import; }
    /// For the next time.
    void remember() const;

  private:
    struct TaskRow;
    QWidget* buildForm();
    void removeTask(TaskRow* row);
    void restore();
    void changed();
    void read();
    void showPreview(const dump::ImportPreview& preview);
    void showSummary(const dump::ImportPreview& preview, bool sound, std::int64_t samples);
    void grow();
    /// What still has to be filled in; empty: nothing.
    QString missing() const;
    QStringList inputs() const;

    QString m_folder;
    std::vector<std::unique_ptr<TaskRow>> m_rows;
    QScrollArea* m_scroll;
    QVBoxLayout* m_tasks;
    PathField* m_config = nullptr;
    StatusLine* m_configStatus = nullptr;
    PathField* m_layout = nullptr;
    StatusLine* m_layoutStatus = nullptr;
    QComboBox* m_loss = nullptr;
    PathField* m_output = nullptr;
    StatusLine* m_summary;
    QPushButton* m_import;
    QTimer* m_timer;
    JobRunner* m_runner;
};

} // namespace qkov::ui
