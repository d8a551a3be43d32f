// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/OptionsDialog.h"

#include "base/Error.h"
#include "base/Numbers.h"
#include "document/Words.h"
#include "widgets/FormScroll.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScreen>
#include <QSpinBox>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

namespace {

QString ranges(const std::vector<std::int64_t>& v) {
    QStringList parts;
    for (std::size_t i = 0; i < v.size();) {
        std::size_t j = i;
        while (j + 1 < v.size() && v[j + 1] == v[j] + 1) {
            ++j;
        }
        parts << (j > i ? QStringLiteral("%1-%2").arg(v[i]).arg(v[j]) : QString::number(v[i]));
        i = j + 1;
    }
    return parts.join(QLatin1Char(','));
}

double readNumber(const QLineEdit* edit, const QString& name) {
    bool ok = false;
    const double v = edit->text().toDouble(&ok);
    if (!ok || !std::isfinite(v) || v < 0) {
        throw UsageError(
            OptionsDialog::tr("%1 must be a number of at least 0").arg(name).toStdString());
    }
    return v;
}

} // namespace

OptionsDialog::OptionsDialog(const engine::ScoreRequest& request, QWidget* parent)
    : QDialog(parent)
    , m_request(request) {
    setWindowTitle(tr("Options of the analysis"));
    setObjectName(QStringLiteral("optionsDialog"));
    setMinimumWidth(520);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(12);
    auto* form = new QFormLayout;
    form->setHorizontalSpacing(16);
    form->setVerticalSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);

    const auto combo = [&](const QString& label, const char* name, const QStringList& items,
                           int current, const QString& hint) {
        auto* c = new QComboBox(this);
        c->addItems(items);
        c->setCurrentIndex(current);
        c->setToolTip(hint);
        nameWidget(c, name, label, hint);
        form->addRow(label, c);
        return c;
    };
    const auto edit = [&](const QString& label, const char* name, const QString& text,
                          const QString& placeholder, const QString& hint) {
        auto* e = new QLineEdit(text, this);
        e->setPlaceholderText(placeholder);
        e->setToolTip(hint);
        nameWidget(e, name, label, hint);
        connect(e, &QLineEdit::textChanged, this, &OptionsDialog::check);
        form->addRow(label, e);
        return e;
    };
    m_problem = new QLabel(this);
    m_layers = m_heads = m_blocks = m_memory = m_epsilon = m_ridge = m_ridgeRelative = nullptr;
    m_ok = nullptr;
    m_fisherTask = combo(tr("Fisher of"), "optFisherTask",
                         {tr("Both tasks, pooled"), tr("Task A"), tr("Task B")},
                         static_cast<int>(request.fisherTask),
                         tr("With task A and the plain mean, the map no longer depends on A"));
    m_estimator = combo(tr("Estimator"), "optEstimator",
                        {tr("As stored, else moving average"), tr("Moving average"), tr("Mean")},
                        request.estimator ? 1 + static_cast<int>(*request.estimator) : 0,
                        tr("How the Fisher is estimated from the samples' squared gradients"));
    const engine::Regularization standard;
    const auto original = engine::Regularization::original();
    const auto same = [](const engine::Regularization& a, const engine::Regularization& b) {
        return a.epsilon == b.epsilon && a.ridge == b.ridge && a.ridgeRelative == b.ridgeRelative;
    };
    m_regularization =
        combo(tr("Regularization"), "optRegularization",
              {tr("Free of scale (default)"), tr("The original module's constants"), tr("My own")},
              same(request.regularization, standard)   ? 0
              : same(request.regularization, original) ? 1
                                                       : 2,
              tr("What keeps the division by a small Fisher finite"));
    const auto show = [](double v) { return QString::number(v, 'g', 10); };
    m_epsilon = edit(tr("Floor ε"), "optEpsilon", show(request.regularization.epsilon), {},
                     tr("Smallest Fisher that counts"));
    m_ridge = edit(tr("Ridge λ"), "optRidge", show(request.regularization.ridge), {},
                   tr("Added to every Fisher"));
    m_ridgeRelative =
        edit(tr("Relative ridge"), "optRidgeRelative", show(request.regularization.ridgeRelative),
             {}, tr("Times the mean Fisher of the head's slice"));
    m_aggregate = combo(tr("Over parameters"), "optAggregate",
                        {tr("Sum"), tr("Mean (blocks of different size compare)")},
                        static_cast<int>(request.aggregate),
                        tr("How the parameters of a head are put together"));
    m_gradScale = combo(
        tr("Gradient of B"), "optGradScale", {tr("As it is"), tr("Per predicted token")},
        static_cast<int>(request.gradScale), tr("Only useful when the loss is a sum over tokens"));
    m_bias = new QCheckBox(tr("Include the biases of Q, K and V"), this);
    m_bias->setChecked(request.includeBias);
    nameWidget(m_bias, "optBias", m_bias->text());
    form->addRow(tr("Parameters"), m_bias);
    m_layers = edit(tr("Layers"), "optLayers", ranges(request.layers), tr("All, or e.g. 0-3,5"),
                    tr("The model's own layer numbers"));
    m_heads = edit(tr("Heads"), "optHeads", ranges(request.heads), tr("All, or e.g. 0-3,5"),
                   tr("The model's own head numbers"));
    QString blocks;
    for (const Block b : request.blocks) {
        blocks += QLatin1Char(blockName(b));
    }
    m_blocks =
        edit(tr("Blocks"), "optBlocks", blocks, tr("All, or e.g. QO"), tr("Any of Q, K, V, O"));
    m_maxSamples = new QSpinBox(this);
    m_maxSamples->setButtonSymbols(QAbstractSpinBox::NoButtons);
    m_maxSamples->setRange(1, 1'000'000);
    m_maxSamples->setValue(static_cast<int>(std::min<std::int64_t>(request.maxSamples, 1'000'000)));
    nameWidget(m_maxSamples, "optMaxSamples", tr("Samples per task at most"));
    form->addRow(tr("Samples per task"), m_maxSamples);
    m_nonFinite =
        combo(tr("NaN or infinity"), "optNonFinite",
              {tr("Stop and say where"), tr("Leave the sample out")},
              static_cast<int>(request.nonFinite), tr("What to do with samples that hold them"));
    m_precision =
        combo(tr("Precision"), "optPrecision", {tr("32 bits"), tr("Fast (reduced)")},
              static_cast<int>(request.precision), tr("Fast rounds the products' inputs"));
    m_device = combo(tr("Device"), "optDevice", {tr("Automatic"), tr("CPU"), tr("CUDA")},
                     request.device == "auto"  ? 0
                     : request.device == "cpu" ? 1
                                               : 2,
                     tr("Automatic takes a GPU when there is one"));
    m_memory = edit(tr("Memory at most"), "optMemory",
                    QString::number(request.memoryBudget / (1 << 20)) + QLatin1Char('M'),
                    tr("e.g. 2G"), tr("Working memory of the computation, e.g. 512M or 2G"));
    alignForm(form);
    // On a low screen the options scroll; the buttons stay.
    auto* box = new QWidget(this);
    form->setContentsMargins(0, 0, 4, 0);
    box->setLayout(form);
    auto* scroll = new FormScroll(this);
    scroll->setWidget(box);
    column->addWidget(scroll, 1);
    m_problem->setWordWrap(true);
    m_problem->setObjectName(QStringLiteral("optionsProblem"));
    m_problem->setMinimumHeight(m_problem->fontMetrics().height());
    column->addWidget(m_problem);
    auto* buttons =
        new QDialogButtonBox(QDialogButtonBox::Cancel | QDialogButtonBox::RestoreDefaults, this);
    m_ok = new QPushButton(tr("Use these"), this);
    m_ok->setProperty("primary", true);
    buttons->addButton(m_ok, QDialogButtonBox::AcceptRole);
    m_ok->setDefault(true);
    const int rest = m_problem->minimumHeight() + buttons->sizeHint().height() + 60;
    resize(540,
           std::min(box->sizeHint().height() + rest, screen()->availableGeometry().height() - 60));
    connect(buttons, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(buttons->button(QDialogButtonBox::RestoreDefaults), &QPushButton::clicked, this,
            [this, show, standard] {
                for (auto* c : {m_fisherTask, m_estimator, m_regularization, m_aggregate,
                                m_gradScale, m_nonFinite, m_precision, m_device}) {
                    c->setCurrentIndex(0);
                }
                m_bias->setChecked(false);
                for (auto* e : {m_layers, m_heads, m_blocks}) {
                    e->clear();
                }
                m_maxSamples->setValue(100);
                m_memory->setText(QStringLiteral("2G"));
            });
    column->addWidget(buttons);
    const auto preset = [this, show, standard, original](int index) {
        const auto& r = index == 1 ? original : standard;
        if (index < 2) {
            m_epsilon->setText(show(r.epsilon));
            m_ridge->setText(show(r.ridge));
            m_ridgeRelative->setText(show(r.ridgeRelative));
        }
        for (auto* e : {m_epsilon, m_ridge, m_ridgeRelative}) {
            e->setEnabled(index == 2);
        }
    };
    connect(m_regularization, &QComboBox::currentIndexChanged, this, preset);
    preset(m_regularization->currentIndex());
    check();
}

engine::ScoreRequest OptionsDialog::request() const {
    engine::ScoreRequest r = m_request;
    r.fisherTask = static_cast<engine::FisherTask>(m_fisherTask->currentIndex());
    r.estimator.reset();
    if (m_estimator->currentIndex() > 0) {
        r.estimator = static_cast<engine::Estimator>(m_estimator->currentIndex() - 1);
    }
    r.regularization.epsilon = readNumber(m_epsilon, tr("The floor"));
    r.regularization.ridge = readNumber(m_ridge, tr("The ridge"));
    r.regularization.ridgeRelative = readNumber(m_ridgeRelative, tr("The relative ridge"));
    r.aggregate = static_cast<engine::Aggregate>(m_aggregate->currentIndex());
    r.gradScale = static_cast<engine::GradScale>(m_gradScale->currentIndex());
    r.includeBias = m_bias->isChecked();
    r.nonFinite = static_cast<engine::NonFinite>(m_nonFinite->currentIndex());
    r.precision = static_cast<engine::Precision>(m_precision->currentIndex());
    static constexpr const char* devices[] = {"auto", "cpu", "cuda"};
    if (!(m_device->currentIndex() == 2 && r.device.starts_with("cuda"))) {
        r.device = devices[m_device->currentIndex()];
    }
    const auto text = [](const QLineEdit* e) { return e->text().trimmed().toStdString(); };
    r.layers =
        text(m_layers).empty() ? std::vector<std::int64_t>{} : engine::parseRanges(text(m_layers));
    r.heads =
        text(m_heads).empty() ? std::vector<std::int64_t>{} : engine::parseRanges(text(m_heads));
    r.blocks = text(m_blocks).empty() ? std::vector<Block>{} : engine::parseBlocks(text(m_blocks));
    r.maxSamples = m_maxSamples->value();
    r.memoryBudget = parseBytes(text(m_memory));
    return r;
}

void OptionsDialog::check() {
    if (!m_ok) {
        return; // still being built
    }
    try {
        request();
        m_problem->clear();
        m_ok->setEnabled(true);
    } catch (const std::exception& e) {
        m_problem->setText(QString::fromUtf8(e.what()));
        m_ok->setEnabled(false);
    }
}

} // namespace qkov::ui
