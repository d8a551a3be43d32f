// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/layout/LayoutDialog.h"

#include "base/AtomicFile.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "model/ModelConfig.h"
#include "models/LayoutModel.h"
#include "pages/layout/LayoutPartRow.h"
#include "pages/layout/ParameterTable.h"
#include "widgets/StatusLine.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>

namespace qkov::ui {

namespace {

const std::vector<std::vector<Block>>& arrangements() {
    static const std::vector<std::vector<Block>> all{
        {}, {Block::Q, Block::K, Block::V}, {Block::K, Block::V}, {Block::Q, Block::K}};
    return all;
}

QString words(const std::vector<Block>& blocks) {
    QStringList list;
    for (const Block b : blocks) {
        list << QString(QLatin1Char(blockName(b)));
    }
    return list.join(QStringLiteral(", "));
}

QString sentence(const std::string& text) {
    QString s = QString::fromStdString(text);
    if (!s.isEmpty()) {
        s[0] = s[0].toUpper();
    }
    return s;
}

} // namespace

LayoutDialog::LayoutDialog(const LayoutNeed& need, QWidget* parent)
    : QDialog(parent)
    , m_need(need)
    , m_model(new LayoutModel(this))
    , m_table(new ParameterTable(m_model, this))
    , m_summary(new StatusLine(this))
    , m_timer(new QTimer(this))
    , m_runner(new JobRunner(this)) {
    setWindowTitle(tr("Where the heads are"));
    setObjectName(QStringLiteral("layoutDialog"));
    LayoutModel::sort(m_need.list.parameters);
    m_model->setParameters(m_need.list.parameters);
    m_timer->setSingleShot(true);
    m_timer->setInterval(80);
    connect(m_timer, &QTimer::timeout, this, &LayoutDialog::startCheck);

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(12);
    auto* head = new QVBoxLayout;
    head->setSpacing(2);
    auto* title = new QLabel(
        tr("Which parameters of %1 are Q, K, V and O").arg(QFileInfo(need.path).fileName()), this);
    setTextSize(title, TextSize::large, true);
    title->setWordWrap(true);
    auto* sizes = new QLabel(sizesText(), this);
    sizes->setObjectName(QStringLiteral("layoutSizes"));
    sizes->setWordWrap(true);
    setMuted(sizes);
    head->addWidget(title);
    head->addWidget(sizes);
    column->addLayout(head);
    auto* middle = new QHBoxLayout;
    middle->setSpacing(20);
    middle->addWidget(m_table, 3);
    middle->addWidget(buildForm(), 2);
    column->addLayout(middle, 1);
    m_summary->setObjectName(QStringLiteral("layoutSummary"));
    m_summary->reserveLines(2);
    column->addWidget(m_summary);
    column->addWidget(buildButtons());
    resize(1180, 660);

    const auto& shape = need.list.model;
    setDraft(shape.layoutJson.empty() ? model::guessLayout(shape, need.list.parameters)
                                      : model::draftOf(shape.layoutJson));
    connect(m_table, &ParameterTable::taken, this, &LayoutDialog::assign);
    table()->setFocus();
}

LayoutDialog::~LayoutDialog() = default;

QTableView* LayoutDialog::table() const {
    return m_table->view();
}

QString LayoutDialog::sizesText() const {
    const auto& s = m_need.list.model;
    QStringList parts{tr("%1 layers").arg(s.numLayers), tr("%1 heads").arg(s.numHeads)};
    if (s.numKvHeads != s.numHeads) {
        parts << tr("%1 key/value heads").arg(s.numKvHeads);
    }
    parts << (s.headDim == s.vHeadDim
                  ? tr("head size %1").arg(s.headDim)
                  : tr("head size %1, of values %2").arg(s.headDim).arg(s.vHeadDim))
          << tr("hidden size %1").arg(s.hiddenDim);
    return (m_need.whole ? tr("Its config.json says: %1.") : tr("The dump says: %1."))
        .arg(parts.join(QStringLiteral(", ")));
}

QWidget* LayoutDialog::buildForm() {
    auto* box = new QWidget(this);
    box->setMinimumWidth(420);
    auto* grid = new QGridLayout(box);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setHorizontalSpacing(8);
    grid->setVerticalSpacing(4);
    grid->setColumnStretch(1, 1);
    const auto add = [&](QLabel* label, QWidget* field) {
        const int row = grid->rowCount();
        grid->addWidget(label, row, 0);
        grid->addWidget(field, row, 1, 1, 2);
        label->setBuddy(field);
    };
    m_name = new QLineEdit(box);
    nameWidget(m_name, "layoutName", tr("Name of the architecture"));
    add(new QLabel(tr("&Name"), box), m_name);
    m_arrangement = new QComboBox(box);
    m_arrangement->addItems({tr("Three matrices: Q, K, V"), tr("One matrix for Q, K and V"),
                             tr("Q, and one matrix for K and V"),
                             tr("V, and one matrix for Q and K")});
    nameWidget(m_arrangement, "layoutArrangement", tr("Matrices of a layer"));
    add(new QLabel(tr("&Matrices"), box), m_arrangement);
    m_order = new QComboBox(box);
    m_order->addItem(tr("All of one block, then the next"),
                     static_cast<int>(model::FusedOrder::concatenated));
    m_order->addItem(tr("Head by head: its q, k, v"), static_cast<int>(model::FusedOrder::perHead));
    m_order->addItem(tr("Per key/value head: its queries, k, v"),
                     static_cast<int>(model::FusedOrder::perKvGroup));
    m_order->setToolTip(
        tr("Shapes can't tell the order inside one matrix: it is in the model's own "
           "code, where the matrix is split"));
    nameWidget(m_order, "layoutOrder", tr("Order inside the matrix"));
    m_orderLabel = new QLabel(tr("O&rder"), box);
    add(m_orderLabel, m_order);
    m_orderHint = new StatusLine(box);
    setTextSize(m_orderHint, TextSize::small);
    m_orderHint->setStatus(StatusLine::Kind::warning,
                           tr("Shapes can't tell the order: see where the model's own code splits "
                              "the matrix"));
    grid->addWidget(m_orderHint, grid->rowCount(), 1, 1, 2);

    m_fused = new LayoutPartRow(QStringLiteral("Q, K, V"), "layoutFused", grid, box);
    for (const Block b : allBlocks) {
        const QString letter(QLatin1Char(blockName(b)));
        m_parts[blockIndex(b)] =
            new LayoutPartRow(letter, qPrintable(QStringLiteral("layout") + letter), grid, box);
    }
    m_biases = new QCheckBox(tr("With the &biases beside them (….bias)"), box);
    nameWidget(m_biases, "layoutBiases", tr("With the biases beside them"));
    m_biases->setChecked(true);
    grid->addWidget(m_biases, grid->rowCount(), 1, 1, 2);
    auto* hint = new QLabel(tr("{layer} stands for the layer's number, * for anything. A pattern "
                               "that begins with ^ is a regular expression."),
                            box);
    hint->setWordWrap(true);
    setTextSize(hint, TextSize::small);
    setMuted(hint);
    grid->addWidget(hint, grid->rowCount(), 1, 1, 2);
    grid->setRowStretch(grid->rowCount(), 1);

    connect(m_name, &QLineEdit::textChanged, this, &LayoutDialog::changed);
    connect(m_biases, &QCheckBox::toggled, this, &LayoutDialog::changed);
    connect(m_order, &QComboBox::currentIndexChanged, this, &LayoutDialog::changed);
    connect(m_arrangement, &QComboBox::currentIndexChanged, this, [this] {
        arrange();
        changed();
    });
    connect(m_fused, &LayoutPartRow::changed, this, &LayoutDialog::changed);
    for (LayoutPartRow* row : m_parts) {
        connect(row, &LayoutPartRow::changed, this, &LayoutDialog::changed);
    }
    return box;
}

QWidget* LayoutDialog::buildButtons() {
    auto* box = new QWidget(this);
    auto* line = new QHBoxLayout(box);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(8);
    const auto button = [&](const QString& text, const char* name) {
        auto* b = new QPushButton(text, box);
        b->setAutoDefault(false);
        nameWidget(b, name, QString(text).remove(QLatin1Char('&')));
        line->addWidget(b);
        return b;
    };
    auto* load = button(tr("&Load a layout file…"), "layoutLoad");
    m_save = button(tr("&Save as a layout file…"), "layoutSave");
    line->addStretch(1);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, box);
    QPushButton* cancel = buttons->button(QDialogButtonBox::Cancel);
    cancel->setAutoDefault(false);
    nameWidget(cancel, "layoutCancel", tr("Cancel"));
    m_use = new QPushButton(tr("Use this layout"), box);
    nameWidget(m_use, "layoutUse", tr("Use this layout"));
    m_use->setProperty("primary", true);
    buttons->addButton(m_use, QDialogButtonBox::AcceptRole);
    m_use->setDefault(true);
    line->addWidget(buttons);
    connect(cancel, &QPushButton::clicked, this, &QDialog::reject);
    connect(m_use, &QPushButton::clicked, this, &QDialog::accept);
    const QString filter = tr("Layout files (*.json);;All files (*)");
    const auto attempt = [this](auto&& work) {
        try {
            work();
        } catch (const std::exception&) {
            const Message m = Message::of(std::current_exception());
            m_summary->setStatus(StatusLine::Kind::error,
                                 m.where.isEmpty() ? m.what
                                                   : m.what + QStringLiteral(" · ") + m.where);
        }
    };
    connect(load, &QPushButton::clicked, this, [this, filter, attempt] {
        const QString f = QFileDialog::getOpenFileName(
            this, tr("Load a layout file"), QFileInfo(m_need.path).absolutePath(), filter);
        if (!f.isEmpty()) {
            attempt([&] { loadFrom(f); });
        }
    });
    connect(m_save, &QPushButton::clicked, this, [this, filter, attempt] {
        const QString f = QFileDialog::getSaveFileName(
            this, tr("Save as a layout file"),
            QFileInfo(m_need.path).absolutePath() +
                QStringLiteral("/%1-layout.json")
                    .arg(m_name->text().isEmpty() ? QStringLiteral("model") : m_name->text()),
            filter);
        if (!f.isEmpty()) {
            attempt([&] { saveTo(f); });
        }
    });
    return box;
}

std::vector<Block> LayoutDialog::fusedBlocks() const {
    return arrangements()[static_cast<std::size_t>(std::max(0, m_arrangement->currentIndex()))];
}

LayoutPartRow* LayoutDialog::rowOf(Block block) const {
    const auto fused = fusedBlocks();
    return std::find(fused.begin(), fused.end(), block) != fused.end() ? m_fused
                                                                       : m_parts[blockIndex(block)];
}

void LayoutDialog::arrange() {
    const auto fused = fusedBlocks();
    m_fused->setVisible(!fused.empty());
    m_fused->setBlocks(words(fused));
    m_order->setVisible(!fused.empty());
    m_orderLabel->setVisible(!fused.empty());
    m_orderHint->setVisible(!fused.empty());
    for (const Block b : allBlocks) {
        m_parts[blockIndex(b)]->setVisible(rowOf(b) != m_fused);
    }
}

model::LayoutDraft LayoutDialog::draft() const {
    model::LayoutDraft d;
    d.name = m_name->text().trimmed().toStdString();
    d.fusedBlocks = fusedBlocks();
    d.order = static_cast<model::FusedOrder>(m_order->currentData().toInt());
    d.keySize = m_keySize;
    d.fused = m_fused->part(m_biases->isChecked());
    for (const Block b : allBlocks) {
        d.parts[blockIndex(b)] = m_parts[blockIndex(b)]->part(m_biases->isChecked());
    }
    return d;
}

void LayoutDialog::setDraft(const model::LayoutDraft& draft) {
    m_keySize = draft.keySize;
    m_name->setText(QString::fromStdString(draft.name));
    const auto& all = arrangements();
    const auto at = std::find(all.begin(), all.end(), draft.fusedBlocks);
    m_arrangement->setCurrentIndex(at == all.end() ? 0 : static_cast<int>(at - all.begin()));
    m_order->setCurrentIndex(m_order->findData(static_cast<int>(draft.order)));
    m_fused->setPart(draft.fused);
    for (const Block b : allBlocks) {
        m_parts[blockIndex(b)]->setPart(draft.parts[blockIndex(b)]);
    }
    arrange();
    changed();
}

void LayoutDialog::assign(Block block) {
    const auto row = m_table->currentParameter();
    if (!row) {
        return;
    }
    const auto& parameter = m_model->parameters()[*row];
    model::LayoutPart part = rowOf(block)->part(false);
    part.pattern = model::patternOf(parameter.name);
    if (part.pattern.empty()) {
        m_summary->setStatus(
            StatusLine::Kind::error,
            tr("%1 has no layer number in its name").arg(QString::fromStdString(parameter.name)));
        return;
    }
    const auto fused = fusedBlocks();
    const bool inFused = rowOf(block) == m_fused;
    part.inOut = model::inOutByShape(m_need.list.model, inFused ? fused : std::vector{block},
                                     parameter.shape)
                     .value_or(part.inOut);
    rowOf(block)->setPart(part);
    changed();
}

void LayoutDialog::changed() {
    m_fresh = false;
    m_use->setEnabled(false);
    m_save->setEnabled(false);
    m_timer->start();
}

bool LayoutDialog::checking() const {
    return m_timer->isActive() || m_runner->running();
}

void LayoutDialog::startCheck() {
    // A user's own expression may be slow to match: never on the UI thread.
    m_runner->start(
        [this, draft = draft(), list = m_need.list](JobContext&) -> JobRunner::Delivery {
            auto check = model::checkLayout(draft, list.model, list.parameters);
            return [this, check = std::move(check)] { showCheck(check); };
        });
}

void LayoutDialog::showCheck(const model::LayoutCheck& check) {
    m_check = check;
    m_fresh = true;
    m_model->setCheck(check);
    const auto example = [&](const std::vector<Block>& blocks) {
        for (const auto& m : check.matches) {
            if (!m.bias && m.blocks == blocks) {
                return m_need.list.parameters[m.parameter].shape;
            }
        }
        return std::vector<std::int64_t>();
    };
    m_fused->setCheck(check.fused, example(fusedBlocks()));
    for (const Block b : allBlocks) {
        m_parts[blockIndex(b)]->setCheck(check.parts[blockIndex(b)], example({b}));
    }

    const bool ready = check.usable() && (check.complete() || !m_need.whole);
    m_use->setEnabled(ready);
    m_save->setEnabled(check.usable());
    using K = StatusLine::Kind;
    const QString rest = tr("%1 of %2 parameters are assigned; the others belong to no head.")
                             .arg(count(static_cast<std::int64_t>(check.matches.size())),
                                  count(static_cast<std::int64_t>(m_need.list.parameters.size())));
    if (!check.usable()) {
        m_summary->setStatus(K::error,
                             sentence(check.problems.front()) + QStringLiteral(". ") + rest);
    } else if (!check.complete()) {
        QStringList gaps;
        for (const auto& g : check.gaps) {
            gaps << QString::fromStdString(g);
        }
        m_summary->setStatus(m_need.whole ? K::error : K::warning,
                             sentence(gaps.mid(0, 3).join(QStringLiteral("; ")).toStdString()) +
                                 QStringLiteral(". ") + rest);
    } else if (allSquare(check)) {
        m_summary->setStatus(
            K::warning,
            tr("Q, K, V and O are found in all %1 layers. Every matrix is square, so shapes can't "
               "tell out × in from in × out. ")
                    .arg(m_need.list.model.numLayers) +
                rest);
    } else {
        m_summary->setStatus(K::good,
                             tr("Q, K, V and O are found in all %1 layers, and every shape "
                                "fits. ")
                                     .arg(m_need.list.model.numLayers) +
                                 rest);
    }
}

bool LayoutDialog::allSquare(const model::LayoutCheck& check) const {
    return std::all_of(check.matches.begin(), check.matches.end(), [this](const auto& m) {
        const auto& dims = m_need.list.parameters[m.parameter].shape;
        return m.bias || (dims.size() == 2 && dims[0] == dims[1]);
    });
}

QString LayoutDialog::layoutJson() const {
    if (!m_fresh || !m_check.usable()) {
        return {};
    }
    // Biases that the model lacks are left out of the file.
    model::LayoutDraft d = draft();
    if (m_check.fused.biases == 0) {
        d.fused.bias.clear();
    }
    for (const Block b : allBlocks) {
        if (m_check.parts[blockIndex(b)].biases == 0) {
            d.parts[blockIndex(b)].bias.clear();
        }
    }
    return QString::fromStdString(model::toLayoutJson(d));
}

void LayoutDialog::saveTo(const QString& file) {
    writeTextFile(std::filesystem::path(file.toStdU16String()), layoutJson().toStdString());
    m_summary->setStatus(StatusLine::Kind::good,
                         tr("Saved as %1").arg(QDir::toNativeSeparators(file)));
}

void LayoutDialog::loadFrom(const QString& file) {
    setDraft(model::draftOf(model::readLayoutFile(std::filesystem::path(file.toStdU16String()))));
}

} // namespace qkov::ui
