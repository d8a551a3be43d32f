// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/compare/ComparePage.h"

#include "base/Error.h"
#include "document/Document.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "pages/compare/Agreement.h"
#include "pages/compare/CompareWords.h"
#include "pages/compare/ModeScores.h"
#include "plots/HeatmapData.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/SegmentedControl.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <cmath>

namespace qkov::ui {

namespace {

/// From this height on, differences and scatters are shown together.
constexpr int tallPage = 1000;

} // namespace

ComparePage::ComparePage(Document* document, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_modes(new ModeScores(document))
    , m_opener(new JobRunner(this))
    , m_headline(new ElidedLabel(this))
    , m_note(new ElidedLabel(this))
    , m_warning(new QLabel(this))
    , m_whatControl(new SegmentedControl(this))
    , m_blockControl(new SegmentedControl(this))
    , m_lowerControl(new SegmentedControl(this))
    , m_commonRange(new QCheckBox(this))
    , m_openOther(new QToolButton(this))
    , m_stack(new QStackedWidget(this))
    , m_empty(new QLabel(this))
    , m_view(new CompareView(this)) {
    setTextSize(m_headline, TextSize::large, true);
    m_headline->setObjectName(QStringLiteral("compareHeadline"));
    setTextSize(m_note, TextSize::small);
    setMuted(m_note);
    m_note->setObjectName(QStringLiteral("compareNote"));
    m_warning->setObjectName(QStringLiteral("compareWarning"));
    m_warning->setWordWrap(true);
    setMuted(m_empty);
    m_empty->setAlignment(Qt::AlignCenter);
    m_empty->setWordWrap(true);
    m_empty->setObjectName(QStringLiteral("compareEmpty"));
    m_stack->addWidget(m_view);
    m_stack->addWidget(m_empty);

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->setSpacing(8);
    auto* words = new QVBoxLayout;
    words->setSpacing(2);
    words->addWidget(m_headline);
    words->addWidget(m_note);
    column->addLayout(words);
    column->addWidget(buildControls());
    column->addWidget(m_warning);
    column->addWidget(m_stack, 1);

    connect(document, &Document::scoresChanged, this, &ComparePage::refresh);
    connect(document, &Document::requestChanged, this, &ComparePage::refresh);
    connect(document, &Document::stateChanged, this, &ComparePage::refresh);
    connect(document, &Document::opened, this, [this] {
        m_modes->clear();
        m_blockChosen = false;
        refresh();
    });
    connect(document->selection(), &Selection::cellChanged, this, [this] {
        const auto cell = m_document->selection()->cell();
        if (cell && cell->block != m_view->block()) {
            setBlock(cell->block);
        }
        m_view->setSelected(cell);
    });
    connect(m_view, &CompareView::selected, this,
            [this](CellRef cell) { m_document->selection()->setCell(cell); });
    connect(m_modes, &ModeScores::changed, this, &ComparePage::refresh);
    connect(m_modes, &ModeScores::progressed, this, &ComparePage::refreshSentences);
    connect(m_opener, &JobRunner::failed, this, [this](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            m_otherProblem = QString::fromUtf8(e.what());
        }
        m_other.reset();
        refresh();
    });
    refresh();
}

QWidget* ComparePage::buildControls() {
    auto* bar = new QWidget(this);
    auto* line = new QHBoxLayout(bar);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(12);
    nameWidget(m_whatControl, "compareWhat", tr("What is compared"));
    m_whatControl->addSegment(static_cast<int>(What::modes), tr("Modes"),
                              tr("The three normalizations of these results"));
    m_whatControl->addSegment(static_cast<int>(What::results), tr("Results"),
                              tr("Another results file beside this one"));
    m_whatControl->setCurrent(static_cast<int>(What::modes));
    nameWidget(m_blockControl, "compareBlock", tr("Block"));
    for (const Block b : allBlocks) {
        m_blockControl->addSegment(static_cast<int>(blockIndex(b)),
                                   QString(QLatin1Char(blockName(b))),
                                   tr("Block %1").arg(QLatin1Char(blockName(b))));
    }
    nameWidget(m_commonRange, "compareRange", tr("Common colour range"));
    m_commonRange->setText(tr("Common range"));
    m_commonRange->setToolTip(tr("One colour range for all maps, or one of its own for each"));
    nameWidget(m_lowerControl, "compareLower", tr("Below the maps"));
    m_lowerControl->addSegment(0, tr("Differences"), tr("What one mode gives more than another"));
    m_lowerControl->addSegment(1, tr("Scatter"), tr("One mode against another, cell by cell"));
    m_lowerControl->setCurrent(0);
    nameWidget(m_openOther, "compareOpen", tr("Choose results"));
    m_openOther->setText(tr("Choose results…"));
    setIconName(m_openOther, QStringLiteral("open"));
    m_openOther->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_openOther->setFocusPolicy(Qt::StrongFocus);
    m_openOther->hide();
    line->addWidget(m_whatControl);
    line->addWidget(m_blockControl);
    line->addWidget(m_openOther);
    line->addStretch(1);
    line->addWidget(m_commonRange);
    line->addWidget(m_lowerControl);
    connect(m_whatControl, &SegmentedControl::chosen, this,
            [this](int id) { setWhat(static_cast<What>(id)); });
    connect(m_blockControl, &SegmentedControl::chosen, this, [this](int id) {
        m_blockChosen = true;
        setBlock(static_cast<Block>(id));
    });
    connect(m_commonRange, &QCheckBox::toggled, m_view, &CompareView::setCommonRange);
    connect(m_lowerControl, &SegmentedControl::chosen, this, [this] { updateLower(); });
    connect(m_openOther, &QToolButton::clicked, this, &ComparePage::chooseOther);
    // Never all at once: the width is that of one of the two sets.
    const auto width = [](const QWidget* w) { return w->sizeHint().width(); };
    bar->setMinimumWidth(width(m_whatControl) + width(m_blockControl) + width(m_commonRange) +
                         std::max(width(m_lowerControl), width(m_openOther)) + 3 * line->spacing());
    return bar;
}

void ComparePage::updateLower() {
    const bool tall = height() >= tallPage && m_what == What::modes;
    m_lowerControl->setVisible(!tall && m_what == What::modes);
    m_view->setLower(tall                             ? CompareView::Lower::both
                     : m_lowerControl->current() == 1 ? CompareView::Lower::scatter
                                                      : CompareView::Lower::differences);
}

void ComparePage::resizeEvent(QResizeEvent*) {
    updateLower();
}

void ComparePage::showEvent(QShowEvent*) {
    refresh();
}

bool ComparePage::busy() const {
    return m_modes->running() || m_opener->running();
}
QString ComparePage::headlineText() const {
    return m_headline->fullText();
}
QString ComparePage::warningText() const {
    return m_warning->text();
}

void ComparePage::setWhat(What what) {
    m_what = what;
    m_whatControl->setCurrent(static_cast<int>(what));
    updateLower();
    refresh();
}

QJsonObject ComparePage::viewState() const {
    QJsonObject j{{QStringLiteral("what"),
                   m_what == What::results ? QStringLiteral("results") : QStringLiteral("modes")},
                  {QStringLiteral("common_range"), m_commonRange->isChecked()},
                  {QStringLiteral("below"), m_lowerControl->current() == 1
                                                ? QStringLiteral("scatter")
                                                : QStringLiteral("differences")}};
    if (m_blockChosen) {
        j[QStringLiteral("block")] = QString(QLatin1Char(blockName(m_view->block())));
    }
    return j;
}

void ComparePage::setViewState(const QJsonObject& state, const QString& other) {
    const auto text = [&](const char* key) { return state.value(QLatin1String(key)).toString(); };
    m_commonRange->setChecked(state.value(QStringLiteral("common_range")).toBool());
    m_lowerControl->setCurrent(text("below") == QLatin1String("scatter") ? 1 : 0);
    m_blockChosen = false;
    for (const Block block : allBlocks) {
        if (text("block") == QString(QLatin1Char(blockName(block)))) {
            m_blockChosen = true;
            setBlock(block);
        }
    }
    if (!other.isEmpty()) {
        openOther(other);
    }
    setWhat(text("what") == QLatin1String("results") ? What::results : What::modes);
}

void ComparePage::setBlock(Block block) {
    m_blockControl->setCurrent(static_cast<int>(blockIndex(block)));
    m_view->setBlock(block);
    m_view->setSelected(m_document->selection()->cell());
    refreshSentences();
}

void ComparePage::refresh() {
    if (!isVisible()) {
        return; // another page is shown; all of it is done again on return
    }
    const auto scores = m_document->scores();
    // Modes have no part in the variant profile.
    const bool profile = scores && scores->header().request.variant == engine::Variant::profile;
    const bool usable =
        scores != nullptr && (m_what == What::results || (scores->complete() && !profile));
    m_openOther->setVisible(m_what == What::results);
    if (!usable) {
        m_empty->setText(profile ? tr("The variant profile has no normalization to compare. Choose "
                                      "another variant.")
                         : m_document->state() == Document::State::computing
                             ? tr("Comes when the computation is complete")
                         : m_document->canCompute() ? tr("Press Compute, then compare")
                                                    : tr("Nothing to compare"));
        m_stack->setCurrentWidget(m_empty);
        refreshSentences();
        return;
    }
    if (!m_blockChosen) {
        const auto cell = m_document->selection()->cell();
        const auto most = results::overview(*scores).mostConflicted;
        const Block block = cell ? cell->block : most.value_or(Block::O);
        m_blockControl->setCurrent(static_cast<int>(blockIndex(block)));
        m_view->setBlock(block);
    }
    if (m_what == What::modes) {
        showModes();
    } else {
        showResults();
    }
    m_view->setSelected(m_document->selection()->cell());
    refreshSentences();
}

void ComparePage::showModes() {
    std::vector<CompareView::Column> columns;
    for (const engine::Mode mode : ModeScores::modes) {
        CompareView::Column c;
        c.title = modeName(mode);
        c.letter = c.title.left(1);
        c.verdict = verdict(mode);
        c.note = reason(mode);
        c.scores = m_modes->of(mode);
        c.why = c.scores ? QString() : m_modes->whyNot(mode);
        columns.push_back(std::move(c));
    }
    m_view->setColumns(std::move(columns), {{0, 1}, {2, 1}, {2, 0}});
    m_stack->setCurrentWidget(m_view);
    m_modes->computeMissing();
}

void ComparePage::showResults() {
    const auto scores = m_document->scores();
    if (!m_other) {
        m_empty->setText(!m_otherProblem.isEmpty()
                             ? m_otherProblem
                             : tr("Choose results of another checkpoint, model or pair of tasks to "
                                  "see them beside these"));
        m_stack->setCurrentWidget(m_empty);
        return;
    }
    const auto column = [](const QString& title, const QString& letter, const ScoresPtr& s) {
        CompareView::Column c;
        c.title = title;
        c.letter = letter;
        const engine::ScoreHeader& h = s->header();
        c.note = provenance(h);
        c.scores = s;
        return c;
    };
    const QString own = m_document->fileName();
    std::vector<std::array<std::size_t, 2>> pairs;
    if (sameCells(scores->header(), m_other->header())) {
        pairs.push_back({1, 0});
    }
    m_view->setColumns(
        {column(own.isEmpty() ? tr("These results") : own, QStringLiteral("1"), scores),
         column(m_otherName, QStringLiteral("2"), m_other)},
        std::move(pairs));
    m_stack->setCurrentWidget(m_view);
}

void ComparePage::chooseOther() {
    const QString file = QFileDialog::getOpenFileName(
        this, tr("Results to compare with"), {}, tr("Results (*.h5 *.hdf5 *.qkov);;All files (*)"));
    if (!file.isEmpty()) {
        openOther(file);
    }
}

void ComparePage::openOther(const QString& file) {
    m_otherProblem.clear();
    if (m_what != What::results) {
        setWhat(What::results);
    }
    m_opener->start([this, file](JobContext&) -> JobRunner::Delivery {
        auto scores = results::openResults(std::filesystem::path(file.toStdU16String()));
        return [this, file, scores = std::move(scores)]() mutable {
            m_other = std::move(scores);
            m_otherFile = file;
            m_otherName = QFileInfo(file).fileName();
            refresh();
        };
    });
}

void ComparePage::refreshSentences() {
    const auto scores = m_document->scores();
    QString headline, note, warning;
    if (scores && m_stack->currentWidget() == m_view && m_what == What::modes) {
        const Block block = m_view->block();
        const bool lowest = results::lowIsConflict(scores->header().request.variant);
        const auto behavioral = m_modes->of(engine::Mode::behavioral);
        const auto structural = m_modes->of(engine::Mode::structural);
        if (behavioral && structural) {
            const Agreement g =
                agreement(distinctMeans(*behavioral, block), distinctMeans(*structural, block),
                          CompareView::topCells, lowest);
            headline = tr("%1: behavioral and structural share %2 of their top %3 cells (ρ %4)")
                           .arg(QLatin1Char(blockName(block)))
                           .arg(g.shared)
                           .arg(g.top)
                           .arg(number(g.rho));
        } else {
            headline = tr("Only one normalization can be shown");
            if (m_modes->running()) {
                headline = tr("Computing the other normalizations…");
            }
        }
        note = provenance(scores->header());
        if (m_modes->running()) {
            note = tr("Computing %1% · ").arg(std::lround(100 * m_modes->progress())) + note;
        }
    } else if (scores && m_stack->currentWidget() == m_view) {
        const engine::ScoreHeader& a = scores->header();
        const engine::ScoreHeader& b = m_other->header();
        if (sameCells(a, b)) {
            headline = tr("Block %1: %2")
                           .arg(QString(QLatin1Char(blockName(m_view->block()))),
                                m_view->agreementText(0));
        } else {
            headline = tr("The maps show different cells");
            warning = cellsDiffer(a, b);
        }
        const QString options = optionsDiffer(a, b);
        if (!options.isEmpty()) {
            warning += (warning.isEmpty() ? QString() : QStringLiteral(" ")) + options;
        }
    }
    if (scores && m_what == What::modes) {
        warning = m_modes->pictureWarning();
    }
    m_headline->setFullText(headline);
    m_note->setFullText(note);
    m_warning->setText(warning);
    m_warning->setVisible(!warning.isEmpty());
    QPalette palette = m_warning->palette();
    palette.setColor(QPalette::WindowText, Palette::current(this).warning);
    m_warning->setPalette(palette);
}

} // namespace qkov::ui
