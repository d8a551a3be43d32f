// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/window/MainWindow.h"

#include "document/CellPairs.h"
#include "document/MapValues.h"
#include "document/Notes.h"
#include "document/PairProfile.h"
#include "document/Selection.h"
#include "pages/DataPage.h"
#include "pages/DataPanel.h"
#include "pages/ModelPage.h"
#include "pages/NotesPage.h"
#include "pages/OverviewPage.h"
#include "pages/PairsPage.h"
#include "pages/SelectionPanel.h"
#include "pages/StartPage.h"
#include "pages/checks/ChecksPage.h"
#include "pages/compare/ComparePage.h"
#include "pages/window/RecentFiles.h"
#include "widgets/JobBar.h"
#include "widgets/MessageBar.h"
#include "widgets/Theme.h"

#include <QCloseEvent>
#include <QCoreApplication>
#include <QDir>
#include <QDockWidget>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QMenu>
#include <QMimeData>
#include <QSettings>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTabBar>
#include <QTabWidget>
#include <QVBoxLayout>

namespace qkov::ui {

QString demoFolder() {
    const QString program = QCoreApplication::applicationDirPath();
    for (const QString& candidate : {program + QStringLiteral("/../share/qkov/demo"),
                                     QStringLiteral(QKOV_SOURCE_RESOURCES "/demo")}) {
        if (QFileInfo::exists(candidate + QStringLiteral("/model.safetensors"))) {
            return QDir(candidate).canonicalPath();
        }
    }
    return {};
}

MainWindow::MainWindow(QWidget* parent)
    : QMainWindow(parent)
    , m_document(new Document(this))
    , m_values(new MapValues(m_document))
    , m_pairs(new CellPairs(m_document))
    , m_profile(new PairProfile(m_document))
    , m_notes(new Notes(this))
    , m_messageBar(new MessageBar(this))
    , m_jobBar(new JobBar(this)) {
    setObjectName(QStringLiteral("mainWindow"));
    setAcceptDrops(true);
    setDockNestingEnabled(false);
    setContextMenuPolicy(Qt::NoContextMenu);
    buildPages();
    buildDocks();
    buildActions();
    statusBar()->setSizeGripEnabled(false);
    statusBar()->setContentsMargins(0, 0, 0, 0);
    statusBar()->addPermanentWidget(m_jobBar, 1);

    connect(m_document, &Document::stateChanged, this, &MainWindow::refreshState);
    connect(m_document, &Document::requestChanged, this, &MainWindow::refreshRequest);
    connect(m_document, &Document::scoresChanged, this, [this] {
        refreshState();
        restoreSelection();
        logCommand();
    });
    connect(m_document, &Document::opened, this, [this] {
        if (!m_document->path().isEmpty() && QFileInfo::exists(m_document->path())) {
            RecentFiles::add(m_document->path());
            m_start->setRecent(RecentFiles::list());
        }
        if (!m_restoring) {
            m_notes->clear();
            m_sessionFile.clear();
        }
        refreshTitle();
        refreshState();
        // Once all views have taken in what is open.
        QMetaObject::invokeMethod(this, &MainWindow::restoreOpened, Qt::QueuedConnection);
        if (m_computeWhenOpen && m_document->canCompute()) {
            m_computeWhenOpen = false;
            QMetaObject::invokeMethod(m_document, &Document::compute, Qt::QueuedConnection);
        }
    });
    connect(m_document, &Document::messageChanged, this, [this] {
        m_messageBar->setMessage(m_document->message());
        if (m_document->message().severity == Message::Severity::error) {
            m_computeWhenOpen = false;
            m_restoring.reset();
        }
    });
    connect(m_messageBar, &MessageBar::actionRequested, this, &MainWindow::showLayoutDialog);
    connect(m_document, &Document::layoutNeeded, this, &MainWindow::refreshState);
    connect(m_messageBar, &MessageBar::closed, m_document, &Document::clearMessage);
    for (auto* runner : {m_document->runner(), m_document->writer()}) {
        connect(runner, &JobRunner::started, this, &MainWindow::refreshState);
        connect(runner, &JobRunner::finished, this, &MainWindow::refreshState);
        connect(runner, &JobRunner::failed, this, &MainWindow::refreshState);
        connect(runner, &JobRunner::cancelled, this, &MainWindow::refreshState);
        connect(runner, &JobRunner::progressed, m_jobBar, &JobBar::setProgress);
    }
    connect(m_jobBar, &JobBar::cancelRequested, this, [this] {
        if (m_document->runner()->running()) {
            m_document->cancel();
        } else {
            m_document->writer()->cancel();
        }
    });
    m_start->setRecent(RecentFiles::list());
    m_start->setDemoAvailable(!demoFolder().isEmpty());
    refreshTitle();
    refreshRequest();
    refreshState();
    restoreLayout();
}

MainWindow::~MainWindow() = default;

void MainWindow::buildPages() {
    auto* centre = new QWidget(this);
    m_stack = new QStackedWidget(centre);
    m_start = new StartPage(m_stack);
    m_modelPage = new ModelPage(m_document, m_stack);
    m_tabs = new QTabWidget(m_stack);
    m_tabs->setObjectName(QStringLiteral("pages"));
    m_tabs->setDocumentMode(true);
    m_tabs->tabBar()->setDrawBase(false);
    m_tabs->tabBar()->setExpanding(false);
    m_overview = new OverviewPage(m_document, m_values, m_tabs);
    m_overview->setObjectName(QStringLiteral("overviewPage"));
    m_pairsPage = new PairsPage(m_document, m_pairs, m_profile, m_notes, m_tabs);
    m_dataPage = new DataPage(m_document, m_tabs);
    m_notesPage = new NotesPage(m_document, m_notes, m_tabs);
    m_comparePage = new ComparePage(m_document, m_tabs);
    m_comparePage->setObjectName(QStringLiteral("comparePage"));
    m_checksPage = new ChecksPage(m_document, m_tabs);
    m_checksPage->setObjectName(QStringLiteral("checksPage"));
    m_tabs->addTab(m_overview, tr("Overview"));
    m_tabs->addTab(m_comparePage, tr("Compare"));
    m_tabs->addTab(m_pairsPage, tr("Pairs"));
    m_tabs->addTab(m_checksPage, tr("Checks"));
    m_tabs->addTab(m_dataPage, tr("Data"));
    m_tabs->addTab(m_notesPage, tr("Notes"));
    connect(m_tabs, &QTabWidget::currentChanged, this, &MainWindow::refreshState);
    connect(m_notesPage, &NotesPage::exportRequested, this, &MainWindow::exportNotes);
    connect(m_overview->maps(), &FourMaps::activated, this, [this](CellRef cell) {
        m_document->selection()->setCell(cell);
        m_tabs->setCurrentWidget(m_pairsPage);
    });
    m_stack->addWidget(m_start);
    m_stack->addWidget(m_modelPage);
    m_stack->addWidget(m_tabs);
    connect(m_overview->maps(), &FourMaps::contextMenuRequested, this,
            [this](CellRef cell, QPoint at) {
                m_document->selection()->setCell(cell);
                QMenu menu;
                connect(menu.addAction(tr("Show its pairs")), &QAction::triggered, this,
                        [this] { m_tabs->setCurrentWidget(m_pairsPage); });
                menu.addActions({m_addNote, m_copyFinding});
                menu.exec(at);
            });
    auto* column = new QVBoxLayout(centre);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(m_messageBar);
    column->addWidget(m_stack, 1);
    setCentralWidget(centre);
    connect(m_start, &StartPage::openRequested, this, &MainWindow::open);
    connect(m_start, &StartPage::openDemoRequested, this, &MainWindow::openDemo);
    connect(m_modelPage, &ModelPage::collectRequested, this, &MainWindow::showCollectDialog);
}

void MainWindow::buildDocks() {
    const auto dock = [this](const QString& title, const char* name, QWidget* content,
                             Qt::DockWidgetArea area) {
        auto* d = new QDockWidget(title, this);
        d->setObjectName(QLatin1String(name));
        d->setFeatures(QDockWidget::NoDockWidgetFeatures); // F3 and F4 show and hide them
        d->setAllowedAreas(Qt::LeftDockWidgetArea | Qt::RightDockWidgetArea);
        d->setWidget(content);
        addDockWidget(area, d);
        return d;
    };
    m_dataPanel = new DataPanel(m_document, this);
    m_selectionPanel = new SelectionPanel(m_document, m_values, m_pairs, this);
    m_dataPanel->setMinimumWidth(200);
    m_selectionPanel->setMinimumWidth(300);
    connect(m_dataPanel, &DataPanel::parameterActivated, this, [this](const QString& name) {
        m_tabs->setCurrentWidget(m_dataPage);
        m_dataPage->showParameter(name);
    });
    connect(m_dataPanel, &DataPanel::taskActivated, this, [this](const QString& name) {
        m_tabs->setCurrentWidget(m_dataPage);
        m_dataPage->showTask(name);
    });
    m_dataDock = dock(tr("Data"), "dataDock", m_dataPanel, Qt::LeftDockWidgetArea);
    m_selectionDock =
        dock(tr("Selection"), "selectionDock", m_selectionPanel, Qt::RightDockWidgetArea);
}

void MainWindow::restoreLayout() {
    QSettings settings;
    if (!restoreGeometry(settings.value(QStringLiteral("window/geometry")).toByteArray())) {
        resize(1440, 880);
    }
    if (!restoreState(settings.value(QStringLiteral("window/state")).toByteArray())) {
        resizeDocks({m_dataDock, m_selectionDock}, {250, 390}, Qt::Horizontal);
    }
}

void MainWindow::open(const QString& path) {
    if (path.endsWith(QLatin1String(".qkovsession"))) {
        openSession(path);
        return;
    }
    m_computeWhenOpen = false;
    m_restoring.reset();
    m_document->open(path);
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
    const auto urls = event->mimeData()->urls();
    if (urls.size() == 1 && urls.first().isLocalFile()) {
        event->acceptProposedAction();
    }
}

void MainWindow::dropEvent(QDropEvent* event) {
    const auto urls = event->mimeData()->urls();
    if (urls.size() == 1 && urls.first().isLocalFile()) {
        event->acceptProposedAction();
        open(urls.first().toLocalFile());
    }
}

void MainWindow::closeEvent(QCloseEvent* event) {
    QSettings settings;
    settings.setValue(QStringLiteral("window/geometry"), saveGeometry());
    settings.setValue(QStringLiteral("window/state"), saveState());
    keepLastSession();
    m_document->cancel();
    QMainWindow::closeEvent(event);
}

} // namespace qkov::ui
