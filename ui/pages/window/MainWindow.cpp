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

#include <QApplication>
#include <QCloseEvent>
#include <QCoreApplication>
#include <QDir>
#include <QDockWidget>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QMenu>
#include <QMimeData>
#include <QScrollArea>
#include <QSettings>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTabBar>
#include <QTabWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace qkov::ui {

namespace {

/// What the centre scrolls: a page at the window's size, or at its least size where that is larger.
/// Without it a scroll area gives wrapped texts the height they would like.
class Centre : public QWidget {
  public:
    Centre(QStackedWidget* content, QTabWidget* tabs, QWidget* parent)
        : QWidget(parent)
        , m_content(content)
        , m_tabs(tabs) {
        content->setParent(this);
        connect(content, &QStackedWidget::currentChanged, this, &QWidget::updateGeometry);
        connect(tabs, &QTabWidget::currentChanged, this, &QWidget::updateGeometry);
    }
    /// Of the page that is shown: others may need more.
    QSize minimumSizeHint() const override {
        const QWidget* page = m_content->currentWidget();
        if (page == m_tabs && m_tabs->currentWidget()) {
            return m_tabs->currentWidget()->minimumSizeHint() +
                   QSize(0, m_tabs->tabBar()->sizeHint().height());
        }
        if (!page) {
            return {};
        }
        // Start and model page: wrapped sentences, which need the more lines the narrower they are.
        QSize least = page->minimumSizeHint();
        const QLayout* layout = page->layout();
        if (layout && layout->hasHeightForWidth()) {
            least.setHeight(layout->totalMinimumHeightForWidth(std::max(width(), least.width())));
        }
        return least;
    }
    QSize sizeHint() const override { return m_content->sizeHint(); }

  protected:
    void resizeEvent(QResizeEvent* event) override {
        m_content->setGeometry(rect());
        if (event->size().width() != event->oldSize().width()) {
            updateGeometry();
        }
    }
    bool event(QEvent* event) override {
        if (event->type() == QEvent::LayoutRequest) {
            updateGeometry();
        }
        return QWidget::event(event);
    }

  private:
    QStackedWidget* m_content;
    QTabWidget* m_tabs;
};

} // namespace

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
            m_sessionView = {};
            m_sessionOthers = {};
            m_lost.reset();
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
            if (m_restoring) {
                m_lost = m_restoring; // not to be forgotten on closing
                m_restoring.reset();
            }
        }
    });
    connect(m_messageBar, &MessageBar::actionRequested, this, [this] {
        if (m_document->message().action == findAction()) {
            findLostFile();
        } else {
            showLayoutDialog();
        }
    });
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
    qApp->installEventFilter(this);
    setFocusPolicy(Qt::ClickFocus);
    setFocus(); // the first Tab goes to the tool bar; nothing wears a ring before
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
    // A window smaller than a page needs shows a part of it rather than squeezing it.
    auto* scroll = new QScrollArea(centre);
    scroll->setObjectName(QStringLiteral("centreScroll"));
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidgetResizable(true);
    scroll->setFocusPolicy(Qt::NoFocus);
    scroll->setMinimumSize(240, 160);
    scroll->setWidget(new Centre(m_stack, m_tabs, scroll));
    column->addWidget(scroll, 1);
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
    m_dataPanel->setMinimumWidth(190);
    m_selectionPanel->setMinimumWidth(270);
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
    m_ownDocks = restoreState(settings.value(QStringLiteral("window/state")).toByteArray());
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

void MainWindow::resizeEvent(QResizeEvent* event) {
    QMainWindow::resizeEvent(event);
    // On a narrow window the page comes first; F3 and F4 bring a panel back.
    const auto narrow = [&](int width, bool& hidden) {
        const bool was = event->oldSize().width() >= 0 && event->oldSize().width() < width;
        const bool is = event->size().width() < width;
        if (was != is || event->oldSize().width() < 0) {
            hidden = is;
        }
    };
    narrow(dataPanelFrom, m_narrowData);
    narrow(selectionPanelFrom, m_narrowSelection);
    showDocks();
    QMetaObject::invokeMethod(this, &MainWindow::fitDocks, Qt::QueuedConnection);
}

/// Panels as the user left them, but never so wide that a page is cut.
void MainWindow::fitDocks() {
    const int left = m_dataDock->isVisible() ? m_dataDock->width() : 0;
    const int selection = m_selectionDock->isVisible() ? m_selectionDock->width() : 0;
    int wantedData = left;
    int wantedSelection = selection;
    if (!m_ownDocks && (left > 0 || selection > 0)) {
        m_ownDocks = left > 0 && selection > 0;
        wantedData = std::clamp(width() / 6, 190, 260);
        wantedSelection = std::clamp(width() / 4, 270, 480);
    }
    const int room = width() - m_stack->minimumSizeHint().width() - 24;
    const int over = (left > 0 ? wantedData : 0) + (selection > 0 ? wantedSelection : 0) - room;
    if (over > 0) {
        const int fromSelection = std::min(over, std::max(0, wantedSelection - 270));
        wantedSelection -= fromSelection;
        wantedData = std::max(190, wantedData - (over - fromSelection));
    }
    if (left > 0 && wantedData != left) {
        resizeDocks({m_dataDock}, {wantedData}, Qt::Horizontal);
    }
    if (selection > 0 && wantedSelection != selection) {
        resizeDocks({m_selectionDock}, {wantedSelection}, Qt::Horizontal);
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
