// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/CollectDialog.h"

#include "base/Numbers.h"
#include "document/Message.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include <set>

namespace qkov::ui {

namespace {
std::filesystem::path toPath(const QString& text) {
    return std::filesystem::path(text.toStdU16String());
}
} // namespace

struct CollectDialog::TaskRow {
    QWidget* widget = nullptr;
    QLineEdit* name = nullptr;
    QLineEdit* file = nullptr;
};

CollectDialog::CollectDialog(const QString& model, QWidget* parent)
    : QDialog(parent)
    , m_model(model)
    , m_output(new QLineEdit(this))
    , m_estimate(new QLabel(this))
    , m_timer(new QTimer(this))
    , m_runner(new JobRunner(this)) {
    setWindowTitle(tr("Collect gradients"));
    setObjectName(QStringLiteral("collectDialog"));
    setMinimumWidth(620);

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(10);
    auto* intro = new QLabel(tr("Runs %1 on each sample once, forward and backward, and keeps the "
                                "gradients of its attention "
                                "weights. One file of samples per task, in JSON Lines: {\"id\": …, "
                                "\"text\": …} on each line.")
                                 .arg(QFileInfo(model).fileName()),
                             this);
    intro->setWordWrap(true);
    setMuted(intro);
    column->addWidget(intro);
    auto* tasksTitle = new QLabel(tr("Tasks"), this);
    setTextSize(tasksTitle, TextSize::body, true);
    column->addWidget(tasksTitle);
    m_tasks = new QVBoxLayout;
    m_tasks->setSpacing(6);
    column->addLayout(m_tasks);
    auto* add = new QPushButton(tr("Add a task"), this);
    add->setProperty("link", true);
    add->setObjectName(QStringLiteral("addTask"));
    add->setAutoDefault(false);
    connect(add, &QPushButton::clicked, this, [this] { addTask({}, {}); });
    column->addWidget(add, 0, Qt::AlignLeft);

    auto* form = new QFormLayout;
    form->setHorizontalSpacing(16);
    form->setVerticalSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    auto* out = new QHBoxLayout;
    nameWidget(m_output, "collectOutput", tr("Where the dump is written"));
    auto* browse = new QPushButton(tr("Browse…"), this);
    browse->setAutoDefault(false);
    out->addWidget(m_output, 1);
    out->addWidget(browse);
    connect(browse, &QPushButton::clicked, this, [this] {
        const auto f = QFileDialog::getSaveFileName(this, tr("Write the dump to"), m_output->text(),
                                                    tr("Dumps (*.h5)"));
        if (!f.isEmpty()) {
            setOutput(f);
        }
    });
    form->addRow(tr("Write to"), out);
    buildOptions(form);
    column->addLayout(form);

    m_estimate->setObjectName(QStringLiteral("collectEstimate"));
    m_estimate->setWordWrap(true);
    m_estimate->setMinimumHeight(2 * m_estimate->fontMetrics().height() + 4);
    m_estimate->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    column->addWidget(m_estimate);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
    m_run = new QPushButton(tr("Collect"), this);
    m_run->setObjectName(QStringLiteral("collectRun"));
    m_run->setProperty("primary", true);
    buttons->addButton(m_run, QDialogButtonBox::AcceptRole);
    m_run->setDefault(true);
    connect(buttons, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    column->addWidget(buttons);

    m_timer->setSingleShot(true);
    m_timer->setInterval(300);
    connect(m_timer, &QTimer::timeout, this, &CollectDialog::estimate);
    connect(m_output, &QLineEdit::textChanged, this, &CollectDialog::changed);
    connect(m_runner, &JobRunner::failed, this, [this](std::exception_ptr e) {
        const Message m = Message::of(std::move(e));
        QStringList parts{m.what};
        for (const QString& p : {m.where, m.advice}) {
            if (!p.isEmpty()) {
                parts << p;
            }
        }
        m_estimate->setText(parts.join(QStringLiteral(" · ")));
        m_run->setEnabled(false);
    });

    const QDir folder(QFileInfo(model).isDir() ? model : QFileInfo(model).path());
    const auto files = folder.entryInfoList({QStringLiteral("*.jsonl")}, QDir::Files, QDir::Name);
    for (const QFileInfo& f : files) {
        addTask(f.completeBaseName(), f.filePath());
    }
    while (m_rows.size() < 2) {
        addTask({}, {});
    }
    const QFileInfo here(folder.path());
    setOutput((here.isWritable() ? folder.path() : QDir::homePath()) + QLatin1Char('/') +
              folder.dirName() + QStringLiteral("-gradients.h5"));
}

CollectDialog::~CollectDialog() = default;

void CollectDialog::buildOptions(QFormLayout* form) {
    const auto combo = [&](const QString& label, const char* name, const QStringList& items,
                           const QString& hint) {
        auto* c = new QComboBox(this);
        c->addItems(items);
        c->setToolTip(hint);
        nameWidget(c, name, label, hint);
        connect(c, &QComboBox::currentIndexChanged, this, &CollectDialog::changed);
        form->addRow(label, c);
        return c;
    };
    m_storage = combo(tr("Store"), "collectStorage",
                      {tr("Factors (exact, small)"), tr("Whole gradients (read by every tool)")},
                      tr("Factors keep each layer's inputs and output gradients; the gradient is "
                         "rebuilt from them exactly"));
    m_dtype = combo(tr("Numbers stored as"), "collectDtype",
                    {tr("16-bit floats"), tr("32-bit floats")}, tr("16 bits halve the file"));
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
        connect(s, &QSpinBox::valueChanged, this, &CollectDialog::changed);
        form->addRow(label, s);
        return s;
    };
    m_maxSamples = spin(tr("Samples per task"), "collectMaxSamples", tr("All"),
                        tr("The first ones of each file"));
    m_maxTokens =
        spin(tr("Tokens per sample"), "collectMaxTokens", tr("As many as the model takes"),
             tr("Longer samples are cut, and their number is reported"));
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
    connect(m_fisher, &QCheckBox::toggled, this, &CollectDialog::changed);
    form->addRow(tr("Fisher"), fisher);
    m_types = new QCheckBox(tr("Find each head's type (behavioral and hybrid need it)"), this);
    m_types->setChecked(true);
    nameWidget(m_types, "collectTypes", tr("Find each head's type"));
    connect(m_types, &QCheckBox::toggled, this, &CollectDialog::changed);
    form->addRow(tr("Head types"), m_types);
    m_double = new QCheckBox(tr("Compute in 64 bits (slower, for checks)"), this);
    nameWidget(m_double, "collectDouble", tr("Compute in 64 bits"));
    connect(m_double, &QCheckBox::toggled, this, &CollectDialog::changed);
    form->addRow(tr("Precision"), m_double);
    m_device = combo(tr("Device"), "collectDevice", {tr("Automatic"), tr("CPU"), tr("CUDA")},
                     tr("Automatic takes a GPU when there is one"));
}

void CollectDialog::addTask(const QString& name, const QString& file) {
    auto row = std::make_unique<TaskRow>();
    auto* w = new QWidget(this);
    row->widget = w;
    row->name = new QLineEdit(name, w);
    row->name->setPlaceholderText(tr("Name"));
    row->name->setAccessibleName(tr("Name of the task"));
    row->name->setFixedWidth(150);
    row->file = new QLineEdit(file, w);
    row->file->setPlaceholderText(tr("File of samples (.jsonl)"));
    row->file->setAccessibleName(tr("File of the task's samples"));
    auto* browse = new QPushButton(tr("Browse…"), w);
    browse->setAutoDefault(false);
    auto* remove = new QToolButton(w);
    setIconName(remove, QStringLiteral("close"));
    remove->setToolTip(tr("Remove this task"));
    remove->setAccessibleName(tr("Remove this task"));
    auto* line = new QHBoxLayout(w);
    line->setContentsMargins(0, 0, 0, 0);
    line->addWidget(row->name);
    line->addWidget(row->file, 1);
    line->addWidget(browse);
    line->addWidget(remove);
    m_tasks->addWidget(w);
    TaskRow* r = row.get();
    connect(row->name, &QLineEdit::textChanged, this, &CollectDialog::changed);
    connect(row->file, &QLineEdit::textChanged, this, &CollectDialog::changed);
    connect(browse, &QPushButton::clicked, this, [this, r] {
        const QString start = r->file->text().isEmpty() ? m_model : r->file->text();
        const auto f = QFileDialog::getOpenFileName(
            this, tr("Samples of a task"), start, tr("JSON Lines (*.jsonl *.json);;All files (*)"));
        if (!f.isEmpty()) {
            r->file->setText(f);
            if (r->name->text().isEmpty()) {
                r->name->setText(QFileInfo(f).completeBaseName());
            }
        }
    });
    connect(remove, &QToolButton::clicked, this, [this, r] { removeTask(r); });
    m_rows.push_back(std::move(row));
    changed();
}

void CollectDialog::removeTask(TaskRow* row) {
    row->widget->deleteLater();
    std::erase_if(m_rows, [row](const auto& r) { return r.get() == row; });
    changed();
}

void CollectDialog::setOutput(const QString& file) {
    m_output->setText(QDir::toNativeSeparators(file));
}

collect::CollectRequest CollectDialog::request() const {
    collect::CollectRequest r;
    r.model = toPath(m_model);
    for (const auto& row : m_rows) {
        if (!row->name->text().isEmpty() || !row->file->text().isEmpty()) {
            r.tasks.push_back({row->name->text().toStdString(), toPath(row->file->text())});
        }
    }
    r.out = toPath(m_output->text());
    r.factored = m_storage->currentIndex() == 0;
    r.storage = m_dtype->currentIndex() == 0 ? DType::f16 : DType::f32;
    r.loss =
        m_loss->currentIndex() == 0 ? collect::LossReduction::mean : collect::LossReduction::sum;
    r.maxSamples = m_maxSamples->value();
    r.maxTokens = m_maxTokens->value();
    r.structuralFisher = m_fisher->isChecked();
    r.headTypes = m_types->isChecked();
    r.emaDecay = m_decay->value();
    r.computeDouble = m_double->isChecked();
    static constexpr const char* devices[] = {"auto", "cpu", "cuda"};
    r.device = devices[std::max(0, m_device->currentIndex())];
    return r;
}

QString CollectDialog::problem() const {
    const auto r = request();
    if (r.tasks.empty()) {
        return tr("Name a task and its file of samples.");
    }
    std::set<std::string> names;
    for (const auto& t : r.tasks) {
        if (t.name.empty()) {
            return tr("Give every task a name.");
        }
        if (t.file.empty()) {
            return tr("Choose the file of samples of %1.").arg(quoted(t.name));
        }
        if (!names.insert(t.name).second) {
            return tr("Two tasks are named %1.").arg(quoted(t.name));
        }
    }
    if (r.out.empty()) {
        return tr("Choose where the dump is written.");
    }
    return {};
}

void CollectDialog::changed() {
    if (!m_output || !m_device) {
        return; // still being built
    }
    m_runner->cancel();
    const QString missing = problem();
    m_run->setEnabled(missing.isEmpty());
    if (!missing.isEmpty()) {
        m_timer->stop();
        m_estimate->setText(missing);
        return;
    }
    m_estimate->setText(tr("Reading the samples…"));
    m_timer->start();
}

bool CollectDialog::estimating() const {
    return m_timer->isActive() || m_runner->running();
}

QString CollectDialog::estimateText() const {
    return m_estimate->text();
}

void CollectDialog::estimate() {
    m_runner->start([this, r = request()](JobContext& context) -> JobRunner::Delivery {
        context.checkCancelled();
        const auto e = collect::estimate(r);
        return [this, e] {
            m_estimate->setText(tr("%1 samples, the longest of %2 tokens. Needs about %3 of "
                                   "memory, %4 on disk and %5.")
                                    .arg(count(e.samples), count(e.longestTokens),
                                         quoted(formatBytes(e.memoryBytes)),
                                         quoted(formatBytes(e.diskBytes)),
                                         e.seconds < 1 ? tr("less than a second")
                                                       : quoted(formatDuration(e.seconds))));
        };
    });
}

} // namespace qkov::ui
