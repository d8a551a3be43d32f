// SPDX-License-Identifier: GPL-3.0-or-later
// What the window shows in each state of the document.
#include "pages/window/MainWindow.h"

#include "base/Numbers.h"
#include "document/LayoutStore.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "pages/ModelPage.h"
#include "pages/NotesPage.h"
#include "pages/PairsPage.h"
#include "pages/StartPage.h"
#include "shell/HelpWindow.h"
#include "widgets/JobBar.h"
#include "widgets/SegmentedControl.h"
#include "widgets/Theme.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDialog>
#include <QDialogButtonBox>
#include <QDir>
#include <QDockWidget>
#include <QFileInfo>
#include <QHash>
#include <QKeyEvent>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSignalBlocker>
#include <QStackedWidget>
#include <QStyle>
#include <QTabWidget>
#include <QToolBar>
#include <QToolButton>
#include <QVBoxLayout>

namespace qkov::ui {

void MainWindow::refreshTitle() {
    const QString name = m_document->fileName();
    setWindowTitle(name.isEmpty() ? tr("QKOV Studio") : tr("%1 – QKOV Studio").arg(name));
    setWindowFilePath(m_document->path());
}

QString MainWindow::idleText() const {
    const auto scores = m_document->scores();
    if (!scores) {
        switch (m_document->source()) {
        case Document::Source::none:
            return tr("Nothing is open");
        case Document::Source::model:
            return QDir::toNativeSeparators(m_document->path());
        default:
            return m_document->canCompute() ? tr("Ready to compute")
                                            : tr("The file holds no tasks");
        }
    }
    const auto& h = scores->header();
    QString text;
    if (m_document->state() == Document::State::partial) {
        text = tr("Cancelled: what was computed stays, marked partial");
    } else if (m_document->outdated()) {
        text = tr("The options have changed since: press Compute");
    } else if (h.totalSeconds > 0) {
        text = tr("Computed in %1 on %2")
                   .arg(h.totalSeconds < 1 ? tr("%1 s").arg(number(h.totalSeconds))
                                           : quoted(formatDuration(h.totalSeconds)),
                        quoted(h.device.empty() ? std::string("CPU") : h.device));
    } else {
        text = tr("Opened from %1").arg(m_document->fileName());
    }
    if (!h.notes.empty()) {
        text += QStringLiteral(" · ") + quoted(h.notes.front());
    }
    return text;
}

void MainWindow::refreshState() {
    using State = Document::State;
    const auto state = m_document->state();
    const auto source = m_document->source();
    const bool none = source == Document::Source::none;

    m_start->setLoading(none && state == State::loading ? m_document->loadingPath() : QString());
    const QWidget* before = m_stack->currentWidget();
    const QWidget* focus = QApplication::focusWidget();
    const bool inside = focus && m_stack->isAncestorOf(focus);
    m_stack->setCurrentWidget(none ? static_cast<QWidget*>(m_start)
                              : source == Document::Source::model
                                  ? static_cast<QWidget*>(m_modelPage)
                                  : static_cast<QWidget*>(m_tabs));
    if (m_stack->currentWidget() != before && inside) {
        setFocus(); // what had it is gone; it does not jump to the tool bar
    }
    showDocks();

    // The analysis controls are always there, so that the tool bar never jumps.
    const bool running = m_document->busy();
    const bool writing = m_document->writer()->running();
    const bool computing = state == State::computing;
    m_compute->setEnabled(m_document->canCompute() && !running);
    m_compute->setToolTip(m_document->canCompute() || none ? tr("Score every pair of samples (F5)")
                          : source == Document::Source::results
                              ? tr("The dump behind these results is not at hand")
                              : tr("Collect gradients first"));
    m_cancel->setEnabled(running || writing);
    QAction* shown = computing || (running && !m_document->canCompute()) ? m_cancel : m_compute;
    if (m_computeButton->defaultAction() != shown) {
        // A button with two actions would grow a menu.
        m_computeButton->removeAction(m_computeButton->defaultAction());
        m_computeButton->setDefaultAction(shown);
    }
    m_computeButton->setProperty("primary", !running);
    m_computeButton->style()->unpolish(m_computeButton);
    m_computeButton->style()->polish(m_computeButton);
    setIconName(m_computeButton->defaultAction(), m_computeButton->defaultAction() == m_cancel
                                                      ? QStringLiteral("cancel")
                                                      : QStringLiteral("play"));
    if (m_computeButton->defaultAction() == m_compute && m_compute->isEnabled()) {
        m_computeButton->setProperty("qkovIcon", QStringLiteral("play"));
        setIconName(m_computeButton, QStringLiteral("play"));
    } else {
        m_computeButton->setProperty("qkovIcon", QString());
    }
    const bool scores = m_document->scores() != nullptr;
    for (QAction* a : std::as_const(m_needScores)) {
        a->setEnabled(scores);
    }
    for (QAction* a : std::as_const(m_needSource)) {
        a->setEnabled(!none);
    }
    m_collect->setEnabled(m_document->checkpoint().has_value() && !running);
    m_import->setEnabled(!running);
    m_layout->setEnabled(!running &&
                         (m_document->layoutNeed() || source == Document::Source::model ||
                          source == Document::Source::dump));
    m_close->setEnabled(!none);
    m_options->setEnabled(m_document->canCompute());

    if (running || writing) {
        if (!m_jobBar->running()) {
            QString what;
            switch (state) {
            case State::loading:
                what = tr("Opening %1").arg(QFileInfo(m_document->loadingPath()).fileName());
                break;
            case State::computing:
                what = tr("Preparing the computation");
                break;
            case State::collecting:
                what = tr("Preparing the collection");
                break;
            case State::importing:
                what = tr("Preparing the import");
                break;
            default:
                what = tr("Writing");
                break;
            }
            m_jobBar->setRunning(what);
        }
    } else {
        m_jobBar->setIdle(idleText());
    }
}

void MainWindow::showDocks() {
    const bool none = m_document->source() == Document::Source::none;
    // The Pairs and Notes pages show the selection themselves, larger.
    const bool beside = m_stack->currentWidget() == m_tabs &&
                        m_tabs->currentWidget() != m_pairsPage &&
                        m_tabs->currentWidget() != m_notesPage;
    m_dataDock->setVisible(!none && m_showData->isChecked() && !m_narrowData);
    m_selectionDock->setVisible(beside && m_showSelection->isChecked() && !m_narrowSelection);
    if (!m_ownDocks) {
        QMetaObject::invokeMethod(this, &MainWindow::fitDocks, Qt::QueuedConnection);
    }
}

QString MainWindow::helpTopic() const {
    if (m_document->message().severity == Message::Severity::error) {
        return QStringLiteral("troubleshooting");
    }
    if (m_stack->currentWidget() != m_tabs) {
        return QStringLiteral("tutorial");
    }
    return QStringLiteral("window#") +
           m_tabs->currentWidget()->objectName().chopped(4); // "comparePage": compare
}

void MainWindow::showHelp(QWidget* place) {
    static const QHash<QString, QString> topics{
        {QStringLiteral("figureDialog"), QStringLiteral("window#figure")},
        {QStringLiteral("optionsDialog"), QStringLiteral("window#options")},
        {QStringLiteral("collectDialog"), QStringLiteral("window#collect")},
        {QStringLiteral("importDialog"), QStringLiteral("window#import")},
        {QStringLiteral("layoutDialog"), QStringLiteral("architectures#adding-one")},
        {QStringLiteral("commandLog"), QStringLiteral("command-line")}};
    // A window of a blocking dialog is not blocked by it.
    auto* help = place->findChild<HelpWindow*>(QString(), Qt::FindDirectChildrenOnly);
    if (!help) {
        help = new HelpWindow(QStringLiteral(":/help"), place);
    }
    help->open(place == this ? helpTopic() : topics.value(place->objectName(), helpTopic()));
}

/// F1 in a dialog, which keeps the menu's shortcut from working.
bool MainWindow::eventFilter(QObject* object, QEvent* event) {
    if (event->type() == QEvent::KeyPress && static_cast<QKeyEvent*>(event)->key() == Qt::Key_F1) {
        auto* dialog = qobject_cast<QDialog*>(QApplication::activeModalWidget());
        if (dialog && object->isWidgetType() && static_cast<QWidget*>(object)->window() == dialog) {
            showHelp(dialog);
            return true;
        }
    }
    return QMainWindow::eventFilter(object, event);
}

QString MainWindow::commandText() const {
    const auto scores = m_document->scores();
    if (!scores) {
        return {};
    }
    QString command =
        commandLine(scores->header(),
                    m_document->dump() ? QString::fromStdString(m_document->dump()->file().string())
                                       : quoted(scores->header().dumpName));
    // A dump that doesn't carry its layout needs the one that was given here.
    const QString layout = layouts::fileFor(m_document->path());
    if (m_document->dump() && !m_document->layoutJson().isEmpty() && !layout.isEmpty()) {
        command += QStringLiteral(" --layout '%1'").arg(layout);
    }
    return command;
}

void MainWindow::logCommand() {
    const auto scores = m_document->scores();
    if (!scores || !scores->complete() || m_logged.lock() == scores) {
        return;
    }
    m_logged = scores;
    const QString command = commandText();
    if (m_commands.isEmpty() || m_commands.last() != command) {
        m_commands << command;
    }
}

void MainWindow::showCommandLog() {
    QDialog dialog(this);
    dialog.setWindowTitle(tr("Command log"));
    dialog.setObjectName(QStringLiteral("commandLog"));
    dialog.resize(720, 360);
    auto* column = new QVBoxLayout(&dialog);
    column->setContentsMargins(20, 16, 20, 16);
    auto* hint =
        new QLabel(tr("Each analysis of this window as the command that reproduces it."), &dialog);
    setMuted(hint);
    column->addWidget(hint);
    auto* text = new QPlainTextEdit(m_commands.join(QStringLiteral("\n\n")), &dialog);
    text->setReadOnly(true);
    text->setPlaceholderText(tr("Nothing was computed yet"));
    nameWidget(text, "commandLogText", tr("Commands"));
    column->addWidget(text, 1);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, &dialog);
    auto* copy = buttons->addButton(tr("Copy all"), QDialogButtonBox::ActionRole);
    connect(copy, &QPushButton::clicked, &dialog, [this] {
        QApplication::clipboard()->setText(m_commands.join(QLatin1Char('\n')) + QLatin1Char('\n'));
    });
    connect(buttons, &QDialogButtonBox::rejected, &dialog, &QDialog::reject);
    column->addWidget(buttons);
    dialog.exec();
}

void MainWindow::refreshRequest() {
    const QSignalBlocker a(m_taskA);
    const QSignalBlocker b(m_taskB);
    const QSignalBlocker v(m_variant);
    const QStringList names = m_document->taskNames();
    const auto fill = [&](QComboBox* box, const std::string& current) {
        QStringList shown;
        for (int i = 0; i < box->count(); ++i) {
            shown << box->itemText(i);
        }
        if (shown != names) {
            box->clear();
            box->addItems(names);
        }
        box->setCurrentText(quoted(current));
        box->setEnabled(m_document->canCompute());
    };
    fill(m_taskA, m_document->request().taskA);
    fill(m_taskB, m_document->request().taskB);
    m_swap->setEnabled(m_document->canCompute() &&
                       m_document->request().taskA != m_document->request().taskB);
    m_variant->setCurrentIndex(
        m_variant->findData(static_cast<int>(m_document->request().variant)));
    m_variant->setEnabled(m_document->canCompute());
    m_variant->setToolTip(variantHint(m_document->request().variant));
    for (const auto mode :
         {engine::Mode::behavioral, engine::Mode::structural, engine::Mode::hybrid}) {
        const bool can = m_document->modeAvailable(mode);
        m_mode->setSegmentEnabled(
            static_cast<int>(mode), can && m_document->canCompute(),
            can || !m_document->canCompute()
                ? modeHint(mode)
                : tr("Needs head types, which this dump lacks: collect it with head "
                     "types, or add /head_types"));
    }
    const auto mode = m_document->mode();
    m_mode->setCurrent(mode ? static_cast<int>(*mode) : -1);
    refreshState();
}

} // namespace qkov::ui
