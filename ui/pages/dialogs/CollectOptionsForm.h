// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "collect/Collect.h"

#include <QWidget>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QSpinBox;

namespace qkov::ui {

/// How gradients are collected: what is stored, of how many samples, with what. Remembers the last
/// choices.
class CollectOptionsForm : public QWidget {
    Q_OBJECT

  public:
    explicit CollectOptionsForm(QWidget* parent = nullptr);

    /// Rows of the dialog that belong with these are added here.
    QFormLayout* form() const { return m_form; }
    void apply(collect::CollectRequest& request) const;
    /// A TorchScript module: gradients are stored whole, and there are no head types.
    void setScript(bool script);
    void remember() const;
    void restore();

  signals:
    void changed();

  private:
    QFormLayout* m_form;
    QComboBox* m_storage;
    QComboBox* m_dtype;
    QComboBox* m_loss;
    QComboBox* m_device;
    QSpinBox* m_maxSamples;
    QSpinBox* m_maxTokens;
    QSpinBox* m_memory;
    QCheckBox* m_double;
    QCheckBox* m_fisher;
    QCheckBox* m_types;
    QDoubleSpinBox* m_decay;
    bool m_script = false;
    int m_storageWanted = 0;
    bool m_typesWanted = true;
};

} // namespace qkov::ui
