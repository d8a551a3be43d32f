// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/dialogs/ImportDialog.h"

#include "base/Numbers.h"
#include "document/Message.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "pages/dialogs/DialogSize.h"
#include "pages/dialogs/OutputFile.h"
#include "pages/dialogs/PathField.h"
#include "widgets/StatusLine.h"
#include "widgets/Theme.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileInfo>
#include <QFormLayout>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
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

void setStatus(StatusLine* line, StatusLine::Kind kind, const QString& text) {
    line->setStatus(kind, text);
    line->setVisible(!text.isEmpty());
}
} // namespace

struct ImportDialog::TaskRow {
    QWidget* widget = nullptr;
    QLineEdit* name = nullptr;
    PathField* store = nullptr;
    PathField* samples = nullptr;
    StatusLine* status = nullptr;
};

ImportDialog::ImportDialog(const QString& folder, QWidget* parent)
    : QDialog(parent)
    , m_folder(folder)
    , m_summary(new StatusLine(this))
    , m_import(new QPushButton(tr("Import"), this))
    , m_timer(new QTimer(this))
    , m_runner(new JobRunner(this)) {
    setWindowTitle(tr("Import gradients"));
    setObjectName(QStringLiteral("importDialog"));
    setMinimumWidth(700);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(10);
    auto* intro = new QLabel(tr("Makes a dump from per-sample gradients that bergson or LogIX have "
                                "written: one folder per task. The stores are only read."),
                             this);
    intro->setWordWrap(true);
    setMuted(intro);
    column->addWidget(intro);
    auto* title = new QLabel(tr("Tasks"), this);
    setTextSize(title, TextSize::body, true);
    column->addWidget(title);
    // Many tasks scroll; two fit.
    m_scroll = new QScrollArea(this);
    m_scroll->setWidgetResizable(true);
    m_scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_scroll->setFocusPolicy(Qt::NoFocus);
    auto* list = new QWidget(m_scroll);
    m_tasks = new QVBoxLayout(list);
    m_tasks->setContentsMargins(0, 0, 0, 0);
    m_tasks->setSpacing(10);
    m_tasks->addStretch(1);
    m_scroll->setWidget(list);
    column->addWidget(m_scroll, 1);
    auto* add = new QPushButton(tr("&Add a task"), this);
    add->setProperty("link", true);
    add->setAutoDefault(false);
    nameWidget(add, "importAddTask", tr("Add a task"));
    connect(add, &QPushButton::clicked, this, [this] {
        addTask({}, {});
        m_rows.back()->name->setFocus();
    });
    column->addWidget(add, 0, Qt::AlignLeft);
    column->addWidget(buildForm());
    m_summary->setObjectName(QStringLiteral("importSummary"));
    m_summary->reserveLines(2);
    column->addWidget(m_summary);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
    QPushButton* cancel = buttons->button(QDialogButtonBox::Cancel);
    cancel->setAutoDefault(false);
    nameWidget(cancel, "importCancel", tr("Cancel"));
    nameWidget(m_import, "importRun", tr("Import"));
    m_import->setProperty("primary", true);
    buttons->addButton(m_import, QDialogButtonBox::AcceptRole);
    m_import->setDefault(true);
    column->addWidget(buttons);
    connect(cancel, &QPushButton::clicked, this, &QDialog::reject);
    connect(m_import, &QPushButton::clicked, this, &QDialog::accept);
    connect(this, &QDialog::accepted, this, &ImportDialog::remember);

    m_timer->setSingleShot(true);
    m_timer->setInterval(250);
    connect(m_timer, &QTimer::timeout, this, &ImportDialog::read);
    connect(m_runner, &JobRunner::failed, this, [this](std::exception_ptr e) {
        const Message m = Message::of(std::move(e));
        m_summary->setStatus(StatusLine::Kind::error, m.what + QLatin1Char(' ') + m.where);
    });
    restore();
    while (m_rows.size() < 2) {
        addTask({}, {});
    }
    grow();
    m_rows.front()->name->setFocus();
    changed();
}

ImportDialog::~ImportDialog() = default;

QWidget* ImportDialog::buildForm() {
    auto* box = new QWidget(this);
    auto* form = new QFormLayout(box);
    form->setContentsMargins(0, 0, 0, 0);
    form->setHorizontalSpacing(16);
    form->setVerticalSpacing(6);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    const auto status = [box](const char* name) {
        auto* line = new StatusLine(box);
        setTextSize(line, TextSize::small);
        line->setObjectName(QLatin1String(name));
        line->hide();
        return line;
    };
    m_config = new PathField(PathField::Kind::openFile, "importConfig", tr("Config of the model"),
                             tr("The model's config.json"),
                             tr("Model configs (*.json);;All files (*)"), box);
    m_config->edit()->setPlaceholderText(tr("config.json, or the model's folder"));
    m_configStatus = status("importConfigStatus");
    form->addRow(tr("&Model"), m_config);
    form->addRow(QString(), m_configStatus);
    m_layout = new PathField(PathField::Kind::openFile, "importLayout", tr("Layout file"),
                             tr("The layout file of an unknown architecture"),
                             tr("Layout files (*.json);;All files (*)"), box);
    m_layout->edit()->setPlaceholderText(tr("Only for an unknown architecture"));
    m_layoutStatus = status("importLayoutStatus");
    form->addRow(tr("&Layout file"), m_layout);
    form->addRow(QString(), m_layoutStatus);
    m_loss = new QComboBox(box);
    m_loss->addItem(tr("Mean over its predicted tokens"), QStringLiteral("mean"));
    m_loss->addItem(tr("Sum over its predicted tokens"), QStringLiteral("sum"));
    m_loss->setToolTip(tr("What the store's gradients are of"));
    nameWidget(m_loss, "importLoss", tr("Loss of a sample"));
    form->addRow(tr("L&oss of a sample"), m_loss);
    m_output =
        new PathField(PathField::Kind::saveFile, "importOutput", tr("Where the dump is written"),
                      tr("Write the dump to"), tr("Dumps (*.h5)"), box);
    form->addRow(tr("&Write to"), m_output);
    for (PathField* field : {m_config, m_layout, m_output}) {
        field->setStart(m_folder);
        connect(field, &PathField::changed, this, &ImportDialog::changed);
    }
    alignForm(form);
    return box;
}

void ImportDialog::addTask(const QString& name, const QString& store, const QString& samples) {
    // The first empty row is filled before another is made.
    if (!name.isEmpty() || !store.isEmpty()) {
        for (const auto& row : m_rows) {
            if (row->name->text().isEmpty() && row->store->path().isEmpty()) {
                row->name->setText(name);
                row->store->setPath(store);
                row->samples->setPath(samples);
                return;
            }
        }
    }
    auto row = std::make_unique<TaskRow>();
    auto* w = new QWidget(this);
    row->widget = w;
    row->name = new QLineEdit(name, w);
    row->name->setPlaceholderText(tr("Name"));
    row->name->setFixedWidth(150);
    nameWidget(row->name, "importTaskName", tr("Name of the task"));
    row->store = new PathField(PathField::Kind::openFolder, "importStore",
                               tr("Folder of the task's gradients"), tr("A gradient store"), {}, w);
    row->store->edit()->setPlaceholderText(tr("Folder of gradients"));
    row->store->setPath(store);
    row->samples = new PathField(
        PathField::Kind::openFile, "importSamples", tr("Ids and texts of the task's samples"),
        tr("Ids and texts of the samples"), tr("JSON Lines (*.jsonl *.json);;All files (*)"), w);
    row->samples->edit()->setPlaceholderText(tr("Ids and texts of its samples (.jsonl), if any"));
    row->samples->setPath(samples);
    row->status = new StatusLine(w);
    row->status->setObjectName(QStringLiteral("importTaskStatus"));
    setTextSize(row->status, TextSize::small);
    row->status->reserveLines(1);
    auto* remove = new QToolButton(w);
    setIconName(remove, QStringLiteral("close"));
    remove->setToolTip(tr("Remove this task"));
    nameWidget(remove, "importRemoveTask", tr("Remove this task"));
    remove->setFocusPolicy(Qt::StrongFocus);
    auto* grid = new QGridLayout(w);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setHorizontalSpacing(8);
    grid->setVerticalSpacing(4);
    grid->addWidget(row->name, 0, 0);
    grid->addWidget(row->store, 0, 1);
    grid->addWidget(remove, 0, 2);
    grid->addWidget(row->samples, 1, 1);
    grid->addWidget(row->status, 2, 1, 1, 2);
    grid->setColumnStretch(1, 1);
    m_tasks->insertWidget(m_tasks->count() - 1, w);
    TaskRow* r = row.get();
    connect(row->name, &QLineEdit::textChanged, this, &ImportDialog::changed);
    for (PathField* field : {row->store, row->samples}) {
        field->setStart(m_folder);
        connect(field, &PathField::changed, this, &ImportDialog::changed);
    }
    connect(row->store, &PathField::chosen, this, [r](const QString& path) {
        if (r->name->text().isEmpty()) {
            r->name->setText(QFileInfo(path).fileName());
        }
    });
    connect(remove, &QToolButton::clicked, this, [this, r] { removeTask(r); });
    m_rows.push_back(std::move(row));
    changed();
}

void ImportDialog::removeTask(TaskRow* row) {
    row->widget->hide();
    row->widget->deleteLater();
    if (m_rows.size() == 1) {
        addTask({}, {});
    }
    std::erase_if(m_rows, [row](const auto& r) { return r.get() == row; });
    changed();
}

void ImportDialog::setConfig(const QString& file) {
    m_config->setPath(file);
}
void ImportDialog::setLayoutFile(const QString& file) {
    m_layout->setPath(file);
}
void ImportDialog::setOutput(const QString& file) {
    m_output->setPath(file);
}

StatusLine* ImportDialog::taskStatus(std::size_t task) const {
    return m_rows[task]->status;
}

dump::ImportRequest ImportDialog::request() const {
    dump::ImportRequest r;
    for (const auto& row : m_rows) {
        if (!row->name->text().isEmpty() || !row->store->path().isEmpty()) {
            r.tasks.push_back({row->name->text().trimmed().toStdString(),
                               toPath(row->store->path()), toPath(row->samples->path())});
        }
    }
    r.config = toPath(m_config->path());
    r.layout = toPath(m_layout->path());
    r.lossReduction = m_loss->currentData().toString().toStdString();
    r.out = toPath(m_output->path());
    return r;
}

QString ImportDialog::missing() const {
    const auto r = request();
    if (r.tasks.empty()) {
        return tr("Name a task and choose its folder of gradients.");
    }
    std::set<std::string> names;
    for (const auto& t : r.tasks) {
        if (t.name.empty()) {
            return tr("Give every task a name.");
        }
        if (t.name.find('/') != std::string::npos) {
            return tr("The name %1 must not hold a slash.").arg(quoted(t.name));
        }
        if (t.store.empty()) {
            return tr("Choose the folder of gradients of %1.").arg(quoted(t.name));
        }
        if (!names.insert(t.name).second) {
            return tr("Two tasks are named %1.").arg(quoted(t.name));
        }
    }
    if (r.config.empty()) {
        return tr("Choose the config of the model that the gradients are from.");
    }
    return {};
}

QStringList ImportDialog::inputs() const {
    QStringList files{m_config->path(), m_layout->path()};
    for (const auto& row : m_rows) {
        files << row->samples->path();
    }
    for (const auto& file : dump::importedFiles(request())) {
        files << QString::fromStdString(file.string());
    }
    files.removeAll(QString());
    return files;
}

void ImportDialog::changed() {
    if (!m_output) {
        return; // still being built
    }
    m_runner->cancel();
    m_import->setEnabled(false);
    m_summary->setStatus(StatusLine::Kind::quiet, tr("Reading the stores…"));
    m_timer->start();
}

bool ImportDialog::reading() const {
    return m_timer->isActive() || m_runner->running();
}

void ImportDialog::read() {
    m_runner->start([this, r = request()](JobContext&) -> JobRunner::Delivery {
        auto preview = dump::previewImport(r);
        return [this, preview = std::move(preview)] { showPreview(preview); };
    });
}

void ImportDialog::showPreview(const dump::ImportPreview& preview) {
    using K = StatusLine::Kind;
    bool sound = true;
    const auto problem = [&](StatusLine* line, const std::string& text) {
        sound = sound && text.empty();
        QString sentence = QString::fromStdString(text);
        if (sentence.startsWith(QLatin1String("the "))) {
            sentence[0] = QLatin1Char('T'); // others begin with a file's name
        }
        setStatus(line, K::error, sentence);
    };
    problem(m_configStatus, preview.configProblem);
    if (preview.configProblem.empty() && preview.model.numLayers > 0) {
        const auto& m = preview.model;
        setStatus(m_configStatus, K::good,
                  tr("%1, layers × heads: %2 × %3")
                      .arg(quoted(m.architecture))
                      .arg(m.numLayers)
                      .arg(m.numHeads));
    }
    problem(m_layoutStatus, preview.layoutProblem);
    std::size_t t = 0;
    std::int64_t samples = 0;
    for (const auto& row : m_rows) {
        if (row->name->text().isEmpty() && row->store->path().isEmpty()) {
            row->status->setStatus(K::quiet, {});
            continue;
        }
        const auto& task = preview.tasks[t++];
        samples += task.samples;
        const std::string wrong =
            task.storeProblem.empty() ? task.samplesProblem : task.storeProblem;
        sound = sound && wrong.empty();
        row->status->setStatus(wrong.empty() ? K::quiet : K::error, QString::fromStdString(wrong));
        if (wrong.empty() && !task.kind.empty()) {
            QString text =
                tr("%1: %2 samples, %3 modules, %4")
                    .arg(task.kind == "logix" ? QStringLiteral("LogIX") : quoted(task.kind),
                         count(task.samples), count(task.modules), quoted(task.dtype));
            if (task.parameters > 0) {
                text += tr("; %1 of them attention matrices").arg(task.parameters);
            }
            row->status->setStatus(K::good, text);
        }
    }

    showSummary(preview, sound, samples);
    grow();
}

void ImportDialog::showSummary(const dump::ImportPreview& preview, bool sound,
                               std::int64_t samples) {
    using K = StatusLine::Kind;
    const OutputFile output = checkOutput(m_output->path(), preview.diskBytes, inputs());
    const QString lacking = missing();
    const bool ready = lacking.isEmpty() && sound && output.problem.isEmpty();
    m_import->setEnabled(ready);
    if (!lacking.isEmpty()) {
        m_summary->setStatus(K::quiet, lacking);
    } else if (!sound) {
        m_summary->setStatus(K::error, tr("Mend what is marked above."));
    } else if (!output.problem.isEmpty()) {
        m_summary->setStatus(K::error, output.problem);
    } else {
        QString text = tr("%1 samples; the dump takes about %2.")
                           .arg(count(samples), quoted(formatBytes(preview.diskBytes)));
        QStringList notes;
        if (!output.note.isEmpty()) {
            notes << output.note;
        }
        for (const auto& w : preview.warnings) {
            notes << quoted(w);
        }
        m_summary->setStatus(notes.isEmpty() ? K::good : K::warning,
                             (QStringList{text} + notes).join(QLatin1Char(' ')));
    }
}

void ImportDialog::grow() {
    const int wanted = std::min(m_tasks->parentWidget()->sizeHint().height(),
                                3 * m_rows.front()->widget->sizeHint().height());
    m_scroll->setMinimumHeight(wanted + 2);
    growToContents(this);
}

void ImportDialog::restore() {
    QSettings s;
    s.beginGroup(QStringLiteral("import"));
    const int n = s.beginReadArray(QStringLiteral("tasks"));
    for (int i = 0; i < n; ++i) {
        s.setArrayIndex(i);
        const QString store = s.value(QStringLiteral("store")).toString();
        if (QFileInfo::exists(store)) {
            addTask(s.value(QStringLiteral("name")).toString(), store,
                    s.value(QStringLiteral("samples")).toString());
        }
    }
    s.endArray();
    const QString config = s.value(QStringLiteral("config")).toString();
    if (QFileInfo::exists(config)) {
        m_config->setPath(config);
        m_layout->setPath(s.value(QStringLiteral("layout")).toString());
    }
    m_loss->setCurrentIndex(
        std::max(0, m_loss->findData(s.value(QStringLiteral("loss"), QStringLiteral("mean")))));
    const QFileInfo here(m_folder);
    m_output->setPath((here.isWritable() && !m_folder.isEmpty() ? m_folder : QDir::homePath()) +
                      QStringLiteral("/imported.h5"));
}

void ImportDialog::remember() const {
    QSettings s;
    s.beginGroup(QStringLiteral("import"));
    s.beginWriteArray(QStringLiteral("tasks"));
    int i = 0;
    for (const auto& row : m_rows) {
        if (!row->store->path().isEmpty()) {
            s.setArrayIndex(i++);
            s.setValue(QStringLiteral("name"), row->name->text());
            s.setValue(QStringLiteral("store"), row->store->path());
            s.setValue(QStringLiteral("samples"), row->samples->path());
        }
    }
    s.endArray();
    s.setValue(QStringLiteral("config"), m_config->path());
    s.setValue(QStringLiteral("layout"), m_layout->path());
    s.setValue(QStringLiteral("loss"), m_loss->currentData());
}

} // namespace qkov::ui
