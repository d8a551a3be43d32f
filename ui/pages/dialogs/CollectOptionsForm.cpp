// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/dialogs/CollectOptionsForm.h"

#include "base/Memory.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QSettings>
#include <QSpinBox>

#include <algorithm>

namespace qkov::ui {

namespace {
/// Half of what the machine has, in GB; at least 2.
int usualMemory() {
    return std::max(2, static_cast<int>(machineMemory().total / 2 >> 30));
}
} // namespace

CollectOptionsForm::CollectOptionsForm(QWidget* parent)
    : QWidget(parent)
    , m_form(new QFormLayout(this)) {
    m_form->setContentsMargins(0, 0, 0, 0);
    m_form->setHorizontalSpacing(16);
    m_form->setVerticalSpacing(8);
    m_form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    const auto combo = [&](const QString& label, const char* name, const QStringList& items,
                           const QString& hint) {
        auto* c = new QComboBox(this);
        c->addItems(items);
        c->setToolTip(hint);
        nameWidget(c, name, label, hint);
        connect(c, &QComboBox::currentIndexChanged, this, &CollectOptionsForm::changed);
        m_form->addRow(label, c);
        return c;
    };
    m_storage = combo(tr("Stored as"), "collectStorage",
                      {tr("Factors (exact, small)"), tr("Whole gradients (read by every tool)")},
                      tr("Factors keep each layer's inputs and output gradients; the gradient is "
                         "rebuilt from them exactly"));
    m_dtype = combo(tr("Numbers"), "collectDtype", {tr("16-bit floats"), tr("32-bit floats")},
                    tr("16 bits halve the file"));
    m_loss = combo(tr("Loss of a sample"), "collectLoss",
                   {tr("Mean over its predicted tokens"), tr("Sum over its predicted tokens")},
                   tr("With a mean, long samples count no more than short ones"));
    const auto spin = [&](const QString& label, const char* name, const QString& none,
                          const QString& hint) {
        auto* s = new QSpinBox(this);
        s->setRange(0, 10'000'000);
        s->setSpecialValueText(none);
        s->setButtonSymbols(QAbstractSpinBox::NoButtons);
        s->setToolTip(hint);
        nameWidget(s, name, label, hint);
        connect(s, &QSpinBox::valueChanged, this, &CollectOptionsForm::changed);
        m_form->addRow(label, s);
        return s;
    };
    m_maxSamples = spin(tr("Samples per task"), "collectMaxSamples", tr("All"),
                        tr("The first ones of each file"));
    m_maxTokens =
        spin(tr("Tokens per sample"), "collectMaxTokens", tr("As many as the model takes"),
             tr("Longer samples are cut, and their number is reported"));
    m_memory = spin(tr("Memory to use"), "collectMemory", {},
                    tr("Batches are made so that the whole run stays within it"));
    m_memory->setRange(1, 100'000);
    m_memory->setSuffix(tr(" GB"));
    m_memory->setValue(usualMemory());
    m_fisher = new QCheckBox(tr("Store the Fisher of each task, decay"), this);
    m_fisher->setChecked(true);
    m_decay = new QDoubleSpinBox(this);
    nameWidget(m_fisher, "collectFisher", tr("Store the Fisher of each task"));
    nameWidget(m_decay, "collectDecay", tr("Decay of the moving average"));
    m_decay->setButtonSymbols(QAbstractSpinBox::NoButtons);
    m_decay->setFixedWidth(80);
    m_decay->setDecimals(4);
    m_decay->setRange(0, 0.9999);
    m_decay->setSingleStep(0.01);
    m_decay->setValue(0.99);
    auto* fisher = new QHBoxLayout;
    fisher->addWidget(m_fisher);
    fisher->addWidget(m_decay);
    fisher->addStretch(1);
    connect(m_fisher, &QCheckBox::toggled, m_decay, &QWidget::setEnabled);
    m_form->addRow(tr("Fisher"), fisher);
    m_types = new QCheckBox(tr("Find each head's type (behavioral and hybrid need it)"), this);
    m_types->setChecked(true);
    nameWidget(m_types, "collectTypes", tr("Find each head's type"));
    m_form->addRow(tr("Head types"), m_types);
    m_double = new QCheckBox(tr("Compute in 64 bits (slower, for checks)"), this);
    nameWidget(m_double, "collectDouble", tr("Compute in 64 bits"));
    m_form->addRow(tr("Precision"), m_double);
    for (QCheckBox* box : {m_fisher, m_types, m_double}) {
        connect(box, &QCheckBox::toggled, this, &CollectOptionsForm::changed);
    }
    connect(m_decay, &QDoubleSpinBox::valueChanged, this, &CollectOptionsForm::changed);
    m_device = combo(tr("Device"), "collectDevice", {tr("Automatic"), tr("CPU"), tr("CUDA")},
                     tr("Automatic takes a GPU when there is one"));
    alignForm(m_form);
}

void CollectOptionsForm::setScript(bool script) {
    if (script == m_script) {
        return;
    }
    // What a module can't do is shown as it will be, and comes back for a checkpoint.
    if (script) {
        m_storageWanted = m_storage->currentIndex();
        m_typesWanted = m_types->isChecked();
    }
    m_script = script;
    m_storage->setCurrentIndex(script ? 1 : m_storageWanted);
    m_types->setChecked(!script && m_typesWanted);
    m_storage->setEnabled(!script);
    m_types->setEnabled(!script);
    m_storage->setToolTip(script ? tr("Gradients of a TorchScript module are stored whole")
                                 : QString());
    m_types->setToolTip(
        script ? tr("A TorchScript module shows no attention weights, so its heads have no types")
               : QString());
}

void CollectOptionsForm::apply(collect::CollectRequest& r) const {
    r.factored = !m_script && m_storage->currentIndex() == 0;
    r.storage = m_dtype->currentIndex() == 0 ? DType::f16 : DType::f32;
    r.loss =
        m_loss->currentIndex() == 0 ? collect::LossReduction::mean : collect::LossReduction::sum;
    r.maxSamples = m_maxSamples->value();
    r.maxTokens = m_maxTokens->value();
    r.memoryBudget = std::int64_t(m_memory->value()) << 30;
    r.structuralFisher = m_fisher->isChecked();
    r.headTypes = !m_script && m_types->isChecked();
    r.emaDecay = m_decay->value();
    r.computeDouble = m_double->isChecked();
    static constexpr const char* devices[] = {"auto", "cpu", "cuda"};
    r.device = devices[std::max(0, m_device->currentIndex())];
}

void CollectOptionsForm::remember() const {
    QSettings s;
    s.beginGroup(QStringLiteral("collect"));
    s.setValue(m_storage->objectName(), m_script ? m_storageWanted : m_storage->currentIndex());
    for (const QComboBox* c : {m_dtype, m_loss, m_device}) {
        s.setValue(c->objectName(), c->currentIndex());
    }
    for (const QSpinBox* n : {m_maxSamples, m_maxTokens, m_memory}) {
        s.setValue(n->objectName(), n->value());
    }
    s.setValue(m_types->objectName(), m_script ? m_typesWanted : m_types->isChecked());
    for (const QCheckBox* b : {m_fisher, m_double}) {
        s.setValue(b->objectName(), b->isChecked());
    }
    s.setValue(m_decay->objectName(), m_decay->value());
}

void CollectOptionsForm::restore() {
    QSettings s;
    s.beginGroup(QStringLiteral("collect"));
    for (QComboBox* c : {m_storage, m_dtype, m_loss, m_device}) {
        const int i = s.value(c->objectName(), c->currentIndex()).toInt();
        c->setCurrentIndex(std::clamp(i, 0, c->count() - 1));
    }
    for (QSpinBox* n : {m_maxSamples, m_maxTokens, m_memory}) {
        n->setValue(s.value(n->objectName(), n->value()).toInt());
    }
    for (QCheckBox* b : {m_fisher, m_types, m_double}) {
        b->setChecked(s.value(b->objectName(), b->isChecked()).toBool());
    }
    m_decay->setValue(s.value(m_decay->objectName(), m_decay->value()).toDouble());
}

} // namespace qkov::ui
