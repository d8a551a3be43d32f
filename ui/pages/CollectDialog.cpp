// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/CollectDialog.h"

#include "base/Numbers.h"
#include "collect/DecoderSpec.h"
#include "document/LayoutStore.h"
#include "document/Message.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "model/Checkpoint.h"
#include "pages/dialogs/CollectOptionsForm.h"
#include "pages/dialogs/DialogSize.h"
#include "pages/dialogs/OutputFile.h"
#include "pages/dialogs/PathField.h"
#include "widgets/FormScroll.h"
#include "widgets/StatusLine.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QCryptographicHash>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileInfo>
#include <QFormLayout>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QRegularExpression>
#include <QSettings>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <set>

namespace qkov::ui {

namespace {

std::filesystem::path toPath(const QString& text) {
    return std::filesystem::path(text.toStdU16String());
}

/// Whether the program itself can run a model of this kind.
bool runsItself(const QString& folder) {
    QFile config(folder + QStringLiteral("/config.json"));
    if (!config.open(QIODevice::ReadOnly) || config.size() > (64 << 20)) {
        return true; // the estimate will say what is wrong
    }
    const auto type = QJsonDocument::fromJson(config.readAll())
                          .object()
                          .value(QStringLiteral("model_type"))
                          .toString()
                          .toStdString();
    const auto known = collect::collectableArchitectures();
    return std::find(known.begin(), known.end(), type) != known.end();
}

} // namespace

struct CollectDialog::TaskRow {
    QWidget* widget = nullptr;
    QLineEdit* name = nullptr;
    PathField* file = nullptr;
};

CollectDialog::CollectDialog(const QString& model, QWidget* parent)
    : QDialog(parent)
    , m_model(model)
    , m_folder(QDir(QFileInfo(model).isDir() ? model : QFileInfo(model).path()).absolutePath())
    , m_options(new CollectOptionsForm(this))
    , m_estimate(new StatusLine(this))
    , m_run(new QPushButton(tr("Collect"), this))
    , m_timer(new QTimer(this))
    , m_runner(new JobRunner(this)) {
    setWindowTitle(tr("Collect gradients"));
    setObjectName(QStringLiteral("collectDialog"));
    setMinimumWidth(640);

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
    // On a low screen all this scrolls; what it takes and the buttons stay.
    auto* box = new QWidget(this);
    auto* form = new QVBoxLayout(box);
    form->setContentsMargins(0, 0, 4, 0);
    form->setSpacing(10);
    form->addWidget(intro);
    buildTasks(form);
    buildFiles();
    form->addWidget(m_options);
    form->addStretch(1);
    auto* scroll = new FormScroll(this);
    scroll->setWidget(box);
    column->addWidget(scroll, 1);
    m_estimate->setObjectName(QStringLiteral("collectEstimate"));
    m_estimate->reserveLines(2);
    column->addWidget(m_estimate);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
    nameWidget(m_run, "collectRun", tr("Collect"));
    m_run->setProperty("primary", true);
    buttons->addButton(m_run, QDialogButtonBox::AcceptRole);
    m_run->setDefault(true);
    connect(buttons, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(this, &QDialog::accepted, this, &CollectDialog::remember);
    column->addWidget(buttons);

    m_timer->setSingleShot(true);
    m_timer->setInterval(300);
    connect(m_timer, &QTimer::timeout, this, &CollectDialog::estimate);
    connect(m_options, &CollectOptionsForm::changed, this, &CollectDialog::changed);
    connect(m_runner, &JobRunner::failed, this, &CollectDialog::showFailure);
    m_options->restore();
    restore();
    m_options->setScript(runsScript());
    m_ready = true;
    changed();
    m_rows.front()->name->setFocus();
}

CollectDialog::~CollectDialog() = default;

void CollectDialog::showEvent(QShowEvent* event) {
    QDialog::showEvent(event);
    QMetaObject::invokeMethod(
        this, [this] { growToContents(this); }, Qt::QueuedConnection);
}

void CollectDialog::buildTasks(QVBoxLayout* column) {
    auto* title = new QLabel(tr("Tasks"), this);
    setTextSize(title, TextSize::body, true);
    column->addWidget(title);
    m_tasks = new QVBoxLayout;
    m_tasks->setSpacing(6);
    column->addLayout(m_tasks);
    auto* add = new QPushButton(tr("&Add a task"), this);
    add->setProperty("link", true);
    nameWidget(add, "addTask", tr("Add a task"));
    add->setAutoDefault(false);
    connect(add, &QPushButton::clicked, this, [this] {
        addTask({}, {});
        m_rows.back()->name->setFocus();
    });
    column->addWidget(add, 0, Qt::AlignLeft);
}

void CollectDialog::buildFiles() {
    QFormLayout* form = m_options->form();
    m_output =
        new PathField(PathField::Kind::saveFile, "collectOutput", tr("Where the dump is written"),
                      tr("Write the dump to"), tr("Dumps (*.h5)"), this);
    form->insertRow(0, tr("&Write to"), m_output);
    m_resume = new QCheckBox(tr("Go on where the interrupted run stopped"), this);
    nameWidget(m_resume, "collectResume", tr("Go on where the interrupted run stopped"));
    m_resume->setChecked(true);
    form->insertRow(1, QString(), m_resume);
    m_layout = new PathField(PathField::Kind::openFile, "collectLayout", tr("Layout file"),
                             tr("The layout file of an unknown architecture"),
                             tr("Layout files (*.json);;All files (*)"), this);
    m_layout->edit()->setPlaceholderText(tr("Only for an unknown architecture"));
    m_layout->setStart(m_folder);
    m_layout->setPath(layouts::fileFor(m_model));
    form->insertRow(2, tr("&Layout file"), m_layout);
    m_runs = new QComboBox(this);
    nameWidget(m_runs, "collectRuns", tr("What is run"));
    m_runs->addItem(tr("The checkpoint"));
    if (onlyScript()) {
        m_runs->hide();
    } else if (!scriptFile().isEmpty()) {
        m_runs->addItem(tr("The TorchScript module %1").arg(QFileInfo(scriptFile()).fileName()));
        m_runs->setCurrentIndex(runsItself(m_folder) ? 0 : 1);
        form->insertRow(3, tr("&Run"), m_runs);
    } else {
        m_runs->hide();
    }
    connect(m_output, &PathField::changed, this, &CollectDialog::changed);
    connect(m_layout, &PathField::changed, this, &CollectDialog::changed);
    connect(m_resume, &QCheckBox::toggled, this, &CollectDialog::changed);
    connect(m_runs, &QComboBox::currentIndexChanged, this, [this] {
        m_options->setScript(runsScript());
        changed();
    });
}

bool CollectDialog::onlyScript() const {
    return !collect::scriptOf(toPath(m_model)).empty();
}

QString CollectDialog::scriptFile() const {
    if (onlyScript()) {
        return QString::fromStdU16String(collect::scriptOf(toPath(m_model)).u16string());
    }
    const auto files = QDir(m_folder).entryInfoList({QStringLiteral("*.pt")}, QDir::Files);
    return files.size() == 1 ? files.first().filePath() : QString();
}

bool CollectDialog::runsScript() const {
    return onlyScript() || m_runs->currentIndex() == 1;
}

void CollectDialog::addTask(const QString& name, const QString& file) {
    auto row = std::make_unique<TaskRow>();
    auto* w = new QWidget(this);
    row->widget = w;
    row->name = new QLineEdit(name, w);
    row->name->setPlaceholderText(tr("Name"));
    nameWidget(row->name, "collectTaskName", tr("Name of the task"));
    row->name->setFixedWidth(150);
    row->file = new PathField(PathField::Kind::openFile, "collectTaskFile",
                              tr("File of the task's samples"), tr("Samples of a task"),
                              tr("JSON Lines (*.jsonl *.json);;All files (*)"), w);
    row->file->edit()->setPlaceholderText(tr("File of samples (.jsonl)"));
    row->file->setPath(file);
    row->file->setStart(m_folder);
    auto* remove = new QToolButton(w);
    setIconName(remove, QStringLiteral("close"));
    remove->setToolTip(tr("Remove this task"));
    nameWidget(remove, "collectRemoveTask", tr("Remove this task"));
    remove->setFocusPolicy(Qt::StrongFocus);
    auto* line = new QHBoxLayout(w);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(8);
    line->addWidget(row->name);
    line->addWidget(row->file, 1);
    line->addWidget(remove);
    m_tasks->addWidget(w);
    TaskRow* r = row.get();
    connect(row->name, &QLineEdit::textChanged, this, &CollectDialog::changed);
    connect(row->file, &PathField::changed, this, &CollectDialog::changed);
    connect(row->file, &PathField::chosen, this, [r](const QString& path) {
        if (r->name->text().isEmpty()) {
            r->name->setText(QFileInfo(path).completeBaseName());
        }
    });
    connect(remove, &QToolButton::clicked, this, [this, r] { removeTask(r); });
    m_rows.push_back(std::move(row));
    changed();
}

void CollectDialog::removeTask(TaskRow* row) {
    if (m_rows.size() == 1) {
        addTask({}, {});
    }
    row->widget->hide();
    row->widget->deleteLater();
    std::erase_if(m_rows, [row](const auto& r) { return r.get() == row; });
    changed();
}

void CollectDialog::setOutput(const QString& file) {
    m_output->setPath(file);
}

collect::CollectRequest CollectDialog::request() const {
    collect::CollectRequest r;
    r.model = toPath(runsScript() ? scriptFile() : m_model);
    for (const auto& row : m_rows) {
        if (!row->name->text().isEmpty() || !row->file->path().isEmpty()) {
            r.tasks.push_back(
                {row->name->text().trimmed().toStdString(), toPath(row->file->path())});
        }
    }
    r.out = toPath(m_output->path());
    r.layout = toPath(m_layout->path());
    r.resume = m_resume->isVisibleTo(this) && m_resume->isChecked();
    m_options->apply(r);
    return r;
}

QStringList CollectDialog::inputs() const {
    QStringList files{m_layout->path()};
    for (const QFileInfo& f : QDir(m_folder).entryInfoList(QDir::Files)) {
        files << f.filePath();
    }
    for (const auto& row : m_rows) {
        files << row->file->path();
    }
    // A dump that was written beside the model before may be written again.
    files.removeIf(
        [](const QString& f) { return f.isEmpty() || f.endsWith(QLatin1String(".h5")); });
    return files;
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
        if (t.name.find('/') != std::string::npos) {
            return tr("The name %1 must not hold a slash.").arg(quoted(t.name));
        }
        if (t.file.empty()) {
            return tr("Choose the file of samples of %1.").arg(quoted(t.name));
        }
        const QString file = QString::fromStdU16String(t.file.u16string());
        if (!QFileInfo(file).isFile()) {
            return tr("There is no file %1.").arg(QDir::toNativeSeparators(file));
        }
        if (!names.insert(t.name).second) {
            return tr("Two tasks are named %1.").arg(quoted(t.name));
        }
    }
    if (!m_layout->path().isEmpty() && !QFileInfo(m_layout->path()).isFile()) {
        return tr("There is no layout file %1.").arg(QDir::toNativeSeparators(m_layout->path()));
    }
    return checkOutput(m_output->path(), 0, inputs()).problem;
}

void CollectDialog::changed() {
    if (!m_ready) {
        return; // still being built
    }
    m_runner->cancel();
    m_run->setEnabled(false);
    m_resume->setVisible(QFileInfo::exists(m_output->path() + QStringLiteral(".partial")));
    if (isVisible()) {
        growToContents(this);
    }
    const QString missing = problem();
    if (!missing.isEmpty()) {
        m_timer->stop();
        m_estimate->setStatus(StatusLine::Kind::error, missing);
        return;
    }
    m_estimate->setStatus(StatusLine::Kind::quiet, tr("Reading the samples…"));
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
        return [this, e] { showEstimate(e); };
    });
}

void CollectDialog::showEstimate(const collect::CollectEstimate& e) {
    const OutputFile output = checkOutput(m_output->path(), e.peakDiskBytes, inputs());
    if (!output.problem.isEmpty()) {
        m_estimate->setStatus(StatusLine::Kind::error, output.problem);
        return;
    }
    QString text =
        tr("%1 samples, the longest of %2 tokens. Needs about %3 of "
           "memory, %4 on disk (%5 while writing) and %6.")
            .arg(count(e.samples), count(e.longestTokens), quoted(formatBytes(e.memoryBytes)),
                 quoted(formatBytes(e.diskBytes)), quoted(formatBytes(e.peakDiskBytes)),
                 e.seconds < 1 ? tr("less than a second") : quoted(formatDuration(e.seconds)));
    if (!output.note.isEmpty()) {
        text += QLatin1Char(' ') + output.note;
    }
    m_estimate->setStatus(
        output.note.isEmpty() ? StatusLine::Kind::good : StatusLine::Kind::warning, text);
    m_run->setEnabled(true);
}

void CollectDialog::showFailure(std::exception_ptr error) {
    Message m = Message::of(std::move(error));
    if (m.advice.contains(QLatin1String("--memory-budget"))) {
        m.advice = tr("Raise the memory to use, or lower the tokens per sample");
    }
    // The command line's names of options say nothing here.
    static const QRegularExpression option(QStringLiteral(" ?\\(--[^)]*\\)"));
    m.what.remove(option);
    m.advice.remove(option);
    QStringList parts{m.what};
    for (const QString& p : {m.where, m.advice}) {
        if (!p.isEmpty()) {
            parts << p;
        }
    }
    m_estimate->setStatus(StatusLine::Kind::error, parts.join(QStringLiteral(" · ")));
}

// ---- the last time ------------------------------------------------------------------------------

namespace {
QString settingsGroup(const QString& folder) {
    return QStringLiteral("collect/models/") +
           QString::fromLatin1(QCryptographicHash::hash(folder.toUtf8(), QCryptographicHash::Sha1)
                                   .toHex()
                                   .left(12));
}
} // namespace

void CollectDialog::restore() {
    QSettings s;
    s.beginGroup(settingsGroup(m_folder));
    const int n = s.beginReadArray(QStringLiteral("tasks"));
    for (int i = 0; i < n; ++i) {
        s.setArrayIndex(i);
        const QString file = s.value(QStringLiteral("file")).toString();
        if (QFileInfo(file).isFile()) {
            addTask(s.value(QStringLiteral("name")).toString(), file);
        }
    }
    s.endArray();
    if (m_rows.empty()) {
        const QDir folder(m_folder);
        for (const QFileInfo& f :
             folder.entryInfoList({QStringLiteral("*.jsonl")}, QDir::Files, QDir::Name)) {
            addTask(f.completeBaseName(), f.filePath());
        }
    }
    while (m_rows.size() < 2) {
        addTask({}, {});
    }
    const QString output = s.value(QStringLiteral("output")).toString();
    const QFileInfo here(m_folder);
    setOutput(QFileInfo(QFileInfo(output).path()).isWritable() && !output.isEmpty()
                  ? output
                  : (here.isWritable() ? m_folder : QDir::homePath()) + QLatin1Char('/') +
                        QDir(m_folder).dirName() + QStringLiteral("-gradients.h5"));
}

void CollectDialog::remember() const {
    m_options->remember();
    QSettings s;
    s.beginGroup(settingsGroup(m_folder));
    s.remove(QString());
    s.beginWriteArray(QStringLiteral("tasks"));
    int i = 0;
    for (const auto& row : m_rows) {
        if (!row->file->path().isEmpty()) {
            s.setArrayIndex(i++);
            s.setValue(QStringLiteral("name"), row->name->text());
            s.setValue(QStringLiteral("file"), row->file->path());
        }
    }
    s.endArray();
    s.setValue(QStringLiteral("output"), m_output->path());
}

} // namespace qkov::ui
