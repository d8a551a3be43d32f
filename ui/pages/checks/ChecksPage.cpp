// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/checks/ChecksPage.h"

#include "base/Error.h"
#include "document/Document.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "jobs/JobRunner.h"
#include "pages/checks/CheckRow.h"
#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include <nlohmann/json.hpp>

#include <cmath>

namespace qkov::ui {

ChecksPage::ChecksPage(Document* document, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_runner(new JobRunner(this))
    , m_headline(new ElidedLabel(this))
    , m_note(new ElidedLabel(this))
    , m_runButton(new QPushButton(tr("Run checks"), this))
    , m_card(new Card({}, this))
    , m_empty(new QLabel(this)) {
    setTextSize(m_headline, TextSize::large, true);
    m_headline->setObjectName(QStringLiteral("checksHeadline"));
    setTextSize(m_note, TextSize::small);
    setMuted(m_note);
    nameWidget(m_runButton, "runChecks", tr("Run checks"));
    m_empty->setAlignment(Qt::AlignCenter);
    m_empty->setWordWrap(true);
    setMuted(m_empty);

    auto* scroll = new QScrollArea(m_card);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    nameWidget(scroll, "checksList", tr("Checks"));
    m_list = new QWidget(scroll);
    m_column = new QVBoxLayout(m_list);
    m_column->setContentsMargins(4, 0, 4, 0);
    m_column->setSpacing(0);
    scroll->setWidget(m_list);
    m_list->setAutoFillBackground(false); // setWidget turns it on: the card shows through
    scroll->viewport()->setAutoFillBackground(false);
    m_card->body()->addWidget(scroll);

    auto* words = new QVBoxLayout;
    words->setSpacing(2);
    words->addWidget(m_headline);
    words->addWidget(m_note);
    auto* top = new QHBoxLayout;
    top->setSpacing(8);
    top->addLayout(words, 1);
    top->addWidget(m_runButton, 0, Qt::AlignTop);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(12, 10, 12, 10);
    column->setSpacing(10);
    column->addLayout(top);
    column->addWidget(m_card, 1);
    column->addWidget(m_empty, 1);

    connect(m_runButton, &QPushButton::clicked, this, [this] {
        if (m_runner->running()) {
            m_runner->cancel();
        } else {
            run();
        }
    });
    connect(document, &Document::opened, this, [this] {
        m_runner->cancel();
        m_checks.clear();
        m_checksKey.clear();
        m_failure.clear();
        rebuild();
    });
    connect(document, &Document::scoresChanged, this, &ChecksPage::rebuild);
    connect(document, &Document::requestChanged, this, &ChecksPage::refresh);
    connect(document, &Document::stateChanged, this, &ChecksPage::refresh);
    connect(m_runner, &JobRunner::progressed, this, &ChecksPage::refresh);
    connect(m_runner, &JobRunner::finished, this, &ChecksPage::rebuild);
    connect(m_runner, &JobRunner::cancelled, this, &ChecksPage::refresh);
    connect(m_runner, &JobRunner::failed, this, [this](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            m_failure = QString::fromUtf8(e.what());
        }
        refresh();
    });
    rebuild();
}

bool ChecksPage::busy() const {
    return m_runner->running();
}
QString ChecksPage::headlineText() const {
    return m_headline->fullText();
}

std::string ChecksPage::key() const {
    engine::ScoreRequest r = m_document->request();
    r.threads = 0;
    r.memoryBudget = 0;
    return engine::toJson(r).dump();
}

void ChecksPage::run() {
    if (!m_document->canCompute() || m_runner->running()) {
        return;
    }
    m_failure.clear();
    m_runner->start([this, dump = m_document->dump(), request = m_document->request(),
                     made = key()](JobContext& context) -> JobRunner::Delivery {
        auto checks = engine::runChecks(*dump, request, context.job());
        return [this, made, checks = std::move(checks)]() mutable {
            m_checks = std::move(checks);
            m_checksKey = made;
        };
    });
    refresh();
}

void ChecksPage::showChecks(std::vector<engine::Check> checks) {
    m_checks = std::move(checks);
    m_checksKey = key();
    rebuild();
}

void ChecksPage::showEvent(QShowEvent*) {
    rebuild();
}

void ChecksPage::rebuild() {
    if (isVisible()) {
        m_rows.clear();
        while (QLayoutItem* item = m_column->takeAt(0)) {
            if (item->widget() != nullptr) {
                item->widget()->hide();
                item->widget()->deleteLater();
            }
            delete item;
        }
        const auto add = [this](const CheckText& text) {
            if (!m_rows.empty()) {
                auto* rule = new QFrame(m_list);
                rule->setFrameShape(QFrame::HLine);
                rule->setFrameShadow(QFrame::Plain);
                rule->setForegroundRole(QPalette::Mid);
                m_column->addWidget(rule);
            }
            auto* row = new CheckRow(text, m_list);
            m_column->addWidget(row);
            m_rows.push_back(row);
            return row;
        };
        // What needs attention comes first, in the metric's order within.
        std::vector<CheckText> texts;
        for (const engine::Check& c : m_checks) {
            texts.push_back(checkText(c));
        }
        if (m_checks.empty() && m_document->canCompute()) {
            texts = pendingTexts();
        }
        const auto urgency = [](const CheckText& t) {
            return t.level == CheckLevel::bad ? 0 : t.level == CheckLevel::look ? 1 : 2;
        };
        std::stable_sort(texts.begin(), texts.end(), [&](const CheckText& a, const CheckText& b) {
            return urgency(a) < urgency(b);
        });
        for (const CheckText& t : texts) {
            add(t);
        }
        if (const auto scores = m_document->scores()) {
            const FisherSummary summary = fisherSummary(*scores);
            CheckRow* row = add(fisherText(summary));
            QStringList links;
            for (const auto& cell : summary.worst) {
                const CellRef ref{cell.block, cell.row, cell.column};
                links << QStringLiteral("<a href='%1,%2,%3'>%4</a> %5%")
                             .arg(blockIndex(cell.block))
                             .arg(cell.row)
                             .arg(cell.column)
                             .arg(cellName(scores->header(), ref).toHtmlEscaped())
                             .arg(std::lround(100 * cell.health.shareBelow));
            }
            if (!links.isEmpty()) {
                row->addLinks(tr("Below the floor: ") + links.join(QStringLiteral(", ")));
                connect(row, &CheckRow::linkActivated, this, &ChecksPage::openCell);
            }
        }
        m_column->addStretch(1);
    }
    refresh();
}

void ChecksPage::openCell(const QString& link) {
    const QStringList parts = link.split(u',');
    if (parts.size() == 3) {
        m_document->selection()->setCell(
            CellRef{static_cast<Block>(parts[0].toInt()), parts[1].toInt(), parts[2].toInt()});
    }
}

void ChecksPage::refresh() {
    const bool running = m_runner->running();
    m_runButton->setText(running            ? tr("Cancel")
                         : m_checks.empty() ? tr("Run checks")
                                            : tr("Run again"));
    m_runButton->setEnabled(running || m_document->canCompute());
    m_runButton->setToolTip(
        m_document->canCompute() ? QString() : tr("Checks need the gradients: open a dump"));
    std::size_t bad = 0, look = 0, good = 0, skipped = 0;
    for (const engine::Check& c : m_checks) {
        switch (checkText(c).level) {
        case CheckLevel::bad:
            ++bad;
            break;
        case CheckLevel::look:
            ++look;
            break;
        case CheckLevel::good:
            ++good;
            break;
        case CheckLevel::skipped:
            ++skipped;
            break;
        }
    }
    QString headline;
    if (running) {
        headline = tr("Checking…");
    } else if (!m_failure.isEmpty()) {
        headline = tr("The checks could not be run");
    } else if (m_checks.empty()) {
        headline = tr("Not checked yet");
    } else if (bad > 0) {
        headline = bad == 1 ? tr("One check failed") : tr("%1 checks failed").arg(bad);
    } else if (look > 0) {
        headline = look == 1 ? tr("One thing to look at") : tr("%1 things to look at").arg(look);
    } else {
        headline = skipped == 0
                       ? tr("All %1 checks passed").arg(good)
                       : tr("%1 checks passed, %2 could not be run").arg(good).arg(skipped);
    }
    QString note;
    if (running) {
        const Progress& p = m_runner->progress();
        note = QStringLiteral("%1%").arg(std::lround(100 * std::clamp(p.fraction, 0.0, 1.0)));
        if (!p.stage.empty()) {
            note = QString::fromStdString(p.stage) + QStringLiteral(" · ") + note;
        }
    } else if (!m_failure.isEmpty()) {
        note = m_failure;
    } else if (!m_checks.empty() && m_checksKey != key()) {
        note = tr("Made for other options than those chosen now");
    } else if (m_checks.empty()) {
        note = m_document->canCompute()
                   ? tr("Seven checks of the metric on a few samples and layers of this dump; they "
                        "take seconds")
                   : tr("Open a dump to check its numbers");
    }
    m_headline->setFullText(headline);
    m_note->setFullText(note);
    const bool something =
        !m_checks.empty() || m_document->scores() != nullptr || m_document->canCompute();
    m_card->setVisible(something);
    m_empty->setVisible(!something);
    m_empty->setText(m_document->canCompute()
                         ? tr("Run the checks to see whether the numbers can be trusted")
                         : tr("Nothing to check"));
}

} // namespace qkov::ui
