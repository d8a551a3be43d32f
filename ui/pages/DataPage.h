// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QComboBox;
class QLineEdit;
class QTableView;
class QTreeView;

namespace qkov::ui {

class Document;
class ElidedLabel;
class ParameterModel;
class SampleFilter;
class SampleModel;
class SlicePicture;
class TextView;

/// What was measured on what: the attention matrices with the selected head's slice as a picture,
/// and all samples with a search over their texts.
class DataPage : public QWidget {
    Q_OBJECT

  public:
    explicit DataPage(Document* document, QWidget* parent = nullptr);
    QTableView* parameters() const { return m_parameters; }
    QTableView* samples() const { return m_samples; }
    QLineEdit* search() const { return m_search; }
    SlicePicture* picture() const { return m_picture; }
    void showParameter(const QString& name);
    void showTask(const QString& name);

  private:
    QWidget* buildParameters();
    QWidget* buildSamples();
    void refreshPicture();
    void refreshTasks();
    void refreshText();

    Document* m_document;
    ParameterModel* m_parameterModel;
    SampleModel* m_sampleModel;
    SampleFilter* m_sampleFilter;
    QTableView* m_parameters;
    SlicePicture* m_picture;
    QLineEdit* m_search;
    QComboBox* m_task;
    QTableView* m_samples;
    ElidedLabel* m_count;
    TextView* m_text;
};

} // namespace qkov::ui
