// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/ScoreRequest.h"

#include <QDialog>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace qkov::ui {

/// Everything a ScoreRequest holds besides tasks, mode and variant.
class OptionsDialog : public QDialog {
    Q_OBJECT

  public:
    OptionsDialog(const engine::ScoreRequest& request, QWidget* parent = nullptr);
    /// @throws qkov::UsageError a range or number that can't be read
    engine::ScoreRequest request() const;

  private:
    void check();
    engine::ScoreRequest m_request;
    QComboBox* m_fisherTask;
    QComboBox* m_estimator;
    QComboBox* m_regularization;
    QLineEdit* m_epsilon;
    QLineEdit* m_ridge;
    QLineEdit* m_ridgeRelative;
    QComboBox* m_aggregate;
    QComboBox* m_gradScale;
    QCheckBox* m_bias;
    QComboBox* m_nonFinite;
    QComboBox* m_precision;
    QComboBox* m_device;
    QLineEdit* m_layers;
    QLineEdit* m_heads;
    QLineEdit* m_blocks;
    QSpinBox* m_maxSamples;
    QLineEdit* m_memory;
    QLabel* m_problem;
    QPushButton* m_ok;
};

} // namespace qkov::ui
