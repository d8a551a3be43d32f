// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/DataPage.h"

#include "document/Document.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "models/ParameterModel.h"
#include "models/SampleModel.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/SlicePicture.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLineEdit>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>

namespace qkov::ui {

namespace {
void prepare(QTableView* t) {
    t->setSelectionBehavior(QAbstractItemView::SelectRows);
    t->setSelectionMode(QAbstractItemView::SingleSelection);
    t->setShowGrid(false);
    t->setWordWrap(false);
    t->setTabKeyNavigation(false);
    t->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    t->verticalHeader()->hide();
    t->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    t->verticalHeader()->setMinimumSectionSize(18);
    t->verticalHeader()->setDefaultSectionSize(t->fontMetrics().height() + 7);
    t->horizontalHeader()->setHighlightSections(false);
}
} // namespace

DataPage::DataPage(Document* document, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_parameterModel(new ParameterModel(document, this))
    , m_sampleModel(new SampleModel(document, this))
    , m_sampleFilter(new SampleFilter(this))
    , m_parameters(new QTableView(this))
    , m_picture(new SlicePicture(this))
    , m_search(new QLineEdit(this))
    , m_task(new QComboBox(this))
    , m_samples(new QTableView(this))
    , m_count(new ElidedLabel(this))
    , m_text(new TextView(this)) {
    setObjectName(QStringLiteral("dataPage"));
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->setObjectName(QStringLiteral("dataSplitter"));
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(12);
    splitter->addWidget(buildParameters());
    splitter->addWidget(buildSamples());
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->addWidget(splitter);
    connect(document, &Document::opened, this, &DataPage::refreshTasks);
    connect(document, &Document::opened, this, &DataPage::refreshPicture);
    connect(document->selection(), &Selection::cellChanged, this, &DataPage::refreshPicture);
    refreshTasks();
    refreshPicture();
    refreshText();
}

QWidget* DataPage::buildParameters() {
    auto* card = new Card(tr("Attention matrices"), this);
    nameWidget(m_parameters, "parameterTable", tr("Attention matrices"));
    prepare(m_parameters);
    m_parameters->setModel(m_parameterModel);
    auto* header = m_parameters->horizontalHeader();
    header->setSectionResizeMode(QHeaderView::ResizeToContents);
    header->setSectionResizeMode(ParameterModel::Name, QHeaderView::Stretch);
    nameWidget(m_picture, "slicePicture", tr("The head's slice of the matrix"));
    auto* line = new QSplitter(Qt::Horizontal, card);
    line->setObjectName(QStringLiteral("dataParameters"));
    line->setChildrenCollapsible(false);
    line->setHandleWidth(12);
    line->addWidget(m_parameters);
    line->addWidget(m_picture);
    line->setStretchFactor(0, 3);
    line->setStretchFactor(1, 1);
    card->body()->addWidget(line, 1);
    card->setMinimumHeight(180);
    connect(m_parameters->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
            &DataPage::refreshPicture);
    return card;
}

QWidget* DataPage::buildSamples() {
    auto* card = new Card(tr("Samples"), this);
    nameWidget(m_search, "sampleSearch", tr("Search in the samples"));
    m_search->setPlaceholderText(tr("Search ids, groups and texts"));
    m_search->setClearButtonEnabled(true);
    m_search->setMaximumWidth(300);
    nameWidget(m_task, "sampleTask", tr("Task of the samples"));
    card->header()->addWidget(m_task);
    card->header()->addWidget(m_search, 1);
    nameWidget(m_samples, "sampleTable", tr("Samples"));
    prepare(m_samples);
    m_sampleFilter->setSourceModel(m_sampleModel);
    m_samples->setModel(m_sampleFilter);
    m_samples->setSortingEnabled(true);
    m_samples->horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);
    auto* header = m_samples->horizontalHeader();
    header->setResizeContentsPrecision(200); // looks at some rows, not at all
    header->setMinimumSectionSize(44);
    header->setSectionResizeMode(QHeaderView::ResizeToContents);
    header->setStretchLastSection(true);
    setTextSize(m_count, TextSize::small);
    setMuted(m_count);
    m_text->setObjectName(QStringLiteral("sampleText"));
    auto* left = new QWidget(card);
    auto* leftColumn = new QVBoxLayout(left);
    leftColumn->setContentsMargins(0, 0, 0, 0);
    leftColumn->addWidget(m_samples, 1);
    leftColumn->addWidget(m_count);
    auto* line = new QSplitter(Qt::Horizontal, card);
    line->setObjectName(QStringLiteral("dataSamples"));
    line->setChildrenCollapsible(false);
    line->setHandleWidth(12);
    line->addWidget(left);
    line->addWidget(m_text);
    line->setStretchFactor(0, 2);
    line->setStretchFactor(1, 1);
    line->setSizes({420, 210});
    card->body()->addWidget(line, 1);
    card->setMinimumHeight(200);
    const auto recount = [this] {
        m_count->setFullText(
            tr("%1 of %2 samples")
                .arg(count(m_sampleFilter->rowCount()), count(m_sampleModel->rowCount())));
    };
    connect(m_search, &QLineEdit::textChanged, this, [this, recount](const QString& text) {
        m_sampleFilter->setWords(text);
        m_text->highlight(text.section(QLatin1Char(' '), 0, 0));
        recount();
    });
    connect(m_task, &QComboBox::currentIndexChanged, this, [this, recount](int index) {
        m_sampleFilter->setTask(index > 0 ? m_task->currentText() : QString());
        recount();
    });
    connect(m_sampleModel, &QAbstractItemModel::modelReset, this, recount);
    connect(m_samples->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
            &DataPage::refreshText);
    return card;
}

void DataPage::refreshTasks() {
    m_task->clear();
    m_task->addItem(tr("All tasks"));
    m_task->addItems(m_document->taskNames());
    refreshText();
}

void DataPage::refreshText() {
    const auto index = m_samples->currentIndex();
    if (!index.isValid()) {
        m_text->clear(tr("Select a sample to read it"));
        return;
    }
    const auto* sample = m_sampleModel->sampleAt(m_sampleFilter->mapToSource(index).row());
    if (sample) {
        m_text->setSample(index.siblingAtColumn(SampleModel::TaskColumn).data().toString(),
                          *sample);
    }
}

void DataPage::showParameter(const QString& name) {
    const int row = m_parameterModel->rowOf(name);
    if (row >= 0) {
        m_parameters->selectRow(row);
        m_parameters->scrollTo(m_parameterModel->index(row, 0));
    }
}

void DataPage::showTask(const QString& name) {
    const int at = m_task->findText(name);
    if (at > 0) {
        m_task->setCurrentIndex(at);
    }
}

void DataPage::refreshPicture() {
    const model::HeadLayout* layout = m_document->checkpoint() ? &m_document->checkpoint()->layout()
                                      : m_document->dump()     ? &m_document->dump()->layout()
                                                               : nullptr;
    if (!layout) {
        m_picture->clear(tr("The dump is needed to draw its matrices"));
        return;
    }
    // The chosen matrix, else that of the selected cell; the head is the selected cell's.
    const auto cell = m_document->selection()->cell();
    const auto scores = m_document->scores();
    int head = 0;
    if (cell && scores) {
        head = scores->header().heads[static_cast<std::size_t>(cell->column)];
    }
    const auto current = m_parameters->currentIndex();
    if (current.isValid()) {
        const auto* p = m_parameterModel->parameterAt(current.row());
        const auto shape = m_parameterModel->shapeAt(current.row());
        if (p && shape.size() == 2) {
            const bool wanted = cell && std::find(p->blocks.begin(), p->blocks.end(),
                                                  cell->block) != p->blocks.end();
            const Block block = wanted ? cell->block : p->blocks.front();
            m_picture->setSlice(shape[0], shape[1], layout->slice(block, p->layer, HeadIndex(head)),
                                QStringLiteral("L%1 · H%2 · %3")
                                    .arg(p->layer.value)
                                    .arg(head)
                                    .arg(QLatin1Char(blockName(block))));
            return;
        }
    }
    if (cell && scores) {
        const LayerIndex layer(scores->header().layers[static_cast<std::size_t>(cell->row)]);
        const auto slice = layout->slice(cell->block, layer, HeadIndex(head));
        const int row = slice ? m_parameterModel->rowOf(quoted(slice->parameter)) : -1;
        const auto shape = m_parameterModel->shapeAt(row);
        if (slice && shape.size() == 2) {
            m_picture->setSlice(shape[0], shape[1], slice, cellName(scores->header(), *cell));
            return;
        }
    }
    m_picture->clear(tr("Select a matrix to see the head's part of it"));
}

} // namespace qkov::ui
