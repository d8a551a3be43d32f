// SPDX-License-Identifier: GPL-3.0-or-later
// Menus, tool bar and shortcuts: every action is in a menu and has a shortcut.
#include "pages/window/MainWindow.h"

#include "document/CellPairs.h"
#include "document/Notes.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "pages/NotesPage.h"
#include "pages/OptionsDialog.h"
#include "pages/OverviewPage.h"
#include "pages/PairsPage.h"
#include "pages/StartPage.h"
#include "pages/window/RecentFiles.h"
#include "shell/ActionFinder.h"
#include "shell/HelpWindow.h"
#include "shell/ShortcutSheet.h"
#include "widgets/SegmentedControl.h"
#include "widgets/Theme.h"

#include <QActionGroup>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDir>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QMenuBar>
#include <QMessageBox>
#include <QSettings>
#include <QTabWidget>
#include <QToolBar>
#include <QToolButton>

#include <functional>

namespace qkov::ui {

QAction* MainWindow::addTo(QMenu* menu, const QString& text, const char* name,
                           const QKeySequence& shortcut, const QString& iconName,
                           const std::function<void()>& run) {
    auto* a = menu->addAction(text);
    a->setObjectName(QLatin1String(name));
    a->setShortcut(shortcut);
    if (!iconName.isEmpty()) {
        setIconName(a, iconName);
    }
    connect(a, &QAction::triggered, this, [run] { run(); });
    return a;
}

void MainWindow::buildActions() {
    buildFileMenu();
    buildAnalysisMenu();
    buildViewMenu();
    buildHelpMenu();
    buildToolBar();
}

void MainWindow::buildFileMenu() {
    auto* file = menuBar()->addMenu(tr("&File"));
    m_openMenu = new QMenu(this);
    auto* open =
        addTo(file, tr("&Open dump or results…"), "openFile", QKeySequence::Open,
              QStringLiteral("open"), [this] {
                  const auto f = QFileDialog::getOpenFileName(
                      this, tr("Open a dump or results file"), QFileInfo(m_document->path()).path(),
                      tr("Dumps and results (*.h5 *.hdf5 *.qkov);;All files (*)"));
                  if (!f.isEmpty()) {
                      this->open(f);
                  }
              });
    auto* model =
        addTo(file, tr("Open &model folder…"), "openModel",
              QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_O), QStringLiteral("folder"), [this] {
                  const auto f = QFileDialog::getExistingDirectory(this, tr("Open a model folder"),
                                                                   m_document->path());
                  if (!f.isEmpty()) {
                      this->open(f);
                  }
              });
    auto* demo = addTo(file, tr("Open the &demo"), "openDemo", QKeySequence(Qt::CTRL | Qt::Key_D),
                       QStringLiteral("play"), [this] { openDemo(); });
    demo->setEnabled(!demoFolder().isEmpty());
    m_recentMenu = file->addMenu(tr("Open &recent"));
    setIconName(m_recentMenu->menuAction(), QStringLiteral("recent"));
    connect(m_recentMenu, &QMenu::aboutToShow, this, &MainWindow::fillRecentMenu);
    fillRecentMenu();
    m_openMenu->addActions({open, model, demo});
    m_openMenu->addMenu(m_recentMenu);
    connect(m_start, &StartPage::openFileRequested, open, &QAction::trigger);
    connect(m_start, &StartPage::openModelRequested, model, &QAction::trigger);
    addTo(file, tr("Open s&ession…"), "openSession", QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_O),
          {}, [this] { chooseSession(); });
    file->addSeparator();
    m_collect =
        addTo(file, tr("&Collect gradients…"), "collect", QKeySequence(Qt::CTRL | Qt::Key_G),
              QStringLiteral("fisher"), [this] { showCollectDialog(); });
    m_import = addTo(file, tr("&Import gradients…"), "import", QKeySequence(Qt::CTRL | Qt::Key_I),
                     QStringLiteral("file"), [this] { showImportDialog(); });
    m_layout = addTo(file, tr("Where the &heads are…"), "layout",
                     QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_L), QStringLiteral("table"),
                     [this] { showLayoutDialog(); });
    m_exportMenu = file->addMenu(tr("&Export"));
    setIconName(m_exportMenu->menuAction(), QStringLiteral("export"));
    m_needScores << addTo(m_exportMenu, tr("&Figure…"), "exportFigure",
                          QKeySequence(Qt::CTRL | Qt::Key_E), QStringLiteral("export"),
                          [this] { showFigureDialog(); });
    m_exportMenu->addSeparator();
    m_needScores << addTo(m_exportMenu, tr("Four maps as &PDF…"), "exportPdf",
                          QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_P), {},
                          [this] { chooseFigure(QStringLiteral("pdf")); })
                 << addTo(m_exportMenu, tr("Four maps as &SVG…"), "exportSvg",
                          QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_E), {},
                          [this] { chooseFigure(QStringLiteral("svg")); })
                 << addTo(m_exportMenu, tr("Four maps as P&NG…"), "exportPng",
                          QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_E), {},
                          [this] { chooseFigure(QStringLiteral("png")); })
                 << addTo(m_exportMenu, tr("Numbers of the cells as &CSV…"), "exportCsv",
                          QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_C), {}, [this] {
                              chooseFile(tr("Export the numbers"), QStringLiteral("csv"),
                                         tr("CSV (*.csv)"), [this](const QString& f) {
                                             m_document->exportCellsCsv(f);
                                         });
                          });
    m_needScores << addTo(file, tr("&Save results as…"), "saveResults",
                          QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_S), {}, [this] {
                              chooseFile(tr("Save the results"), QStringLiteral("results.h5"),
                                         tr("Results (*.h5)"),
                                         [this](const QString& f) { m_document->saveResults(f); });
                          });
    m_needSource << addTo(file, tr("Save sess&ion"), "saveSession", QKeySequence::Save, {},
                          [this] { saveSessionAs(false); })
                 << addTo(file, tr("Save session &as…"), "saveSessionAs",
                          QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_W), {},
                          [this] { saveSessionAs(true); })
                 << addTo(file, tr("Export &notes…"), "exportNotesAction",
                          QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_N), {},
                          [this] { exportNotes(); });
    m_close = addTo(file, tr("C&lose file"), "closeFile", QKeySequence::Close,
                    QStringLiteral("close"), [this] { m_document->close(); });
    file->addSeparator();
    addTo(file, tr("&Quit"), "quit", QKeySequence(Qt::CTRL | Qt::Key_Q), {}, [this] { close(); });
}

void MainWindow::fillRecentMenu() {
    m_recentMenu->clear();
    const auto files = RecentFiles::list();
    for (const QString& f : files) {
        const QFileInfo info(f);
        auto* a = m_recentMenu->addAction(
            QStringLiteral("%1   %2").arg(info.fileName(), QDir::toNativeSeparators(info.path())));
        connect(a, &QAction::triggered, this, [this, f] { open(f); });
    }
    if (files.isEmpty()) {
        m_recentMenu->addAction(tr("No recent files"))->setEnabled(false);
        return;
    }
    m_recentMenu->addSeparator();
    connect(m_recentMenu->addAction(tr("Forget these")), &QAction::triggered, this, [this] {
        RecentFiles::clear();
        m_start->setRecent({});
    });
}

void MainWindow::buildAnalysisMenu() {
    auto* menu = menuBar()->addMenu(tr("&Analysis"));
    m_compute = addTo(menu, tr("&Compute"), "compute", QKeySequence(Qt::Key_F5),
                      QStringLiteral("play"), [this] { m_document->compute(); });
    m_cancel = addTo(menu, tr("C&ancel"), "cancel", QKeySequence(Qt::CTRL | Qt::Key_Period),
                     QStringLiteral("cancel"), [this] {
                         if (m_document->runner()->running()) {
                             m_document->cancel();
                         } else {
                             m_document->writer()->cancel();
                         }
                     });
    m_swap = addTo(menu, tr("&Swap the tasks"), "swapTasks", QKeySequence(Qt::CTRL | Qt::Key_T),
                   QStringLiteral("swap"), [this] { m_document->swapTasks(); });
    m_swap->setToolTip(tr("Swap the tasks: A → B and B → A are different numbers (Ctrl+T)"));
    menu->addSeparator();
    int key = Qt::Key_1;
    for (const auto mode :
         {engine::Mode::behavioral, engine::Mode::structural, engine::Mode::hybrid}) {
        addTo(menu, tr("%1 normalization").arg(modeName(mode)),
              qPrintable(QStringLiteral("mode") + modeName(mode)),
              QKeySequence(QKeyCombination(Qt::CTRL, static_cast<Qt::Key>(key++))), {},
              [this, mode] {
                  if (m_document->canCompute() && m_document->modeAvailable(mode)) {
                      m_document->setMode(mode);
                  }
              });
    }
    menu->addSeparator();
    m_options = addTo(menu, tr("&Options…"), "options", QKeySequence(Qt::CTRL | Qt::Key_Comma),
                      QStringLiteral("settings"), [this] {
                          OptionsDialog dialog(m_document->request(), this);
                          if (dialog.exec() == QDialog::Accepted) {
                              m_document->setRequest(dialog.request());
                          }
                      });
    menu->addSeparator();
    m_copyCommand =
        addTo(menu, tr("Copy as qkov co&mmand"), "copyCommand",
              QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_C), QStringLiteral("copy"), [this] {
                  if (m_document->scores()) {
                      QApplication::clipboard()->setText(commandText());
                      m_document->setMessage(
                          Message::info(tr("Copied the command that reproduces this analysis")));
                  }
              });
    m_copyFinding = addTo(menu, tr("Copy the &finding"), "copyFinding", QKeySequence(Qt::Key_F8),
                          QStringLiteral("copy"), [this] {
                              const auto s = m_document->selection()->state();
                              const auto scores = m_document->scores();
                              if (scores && s.cell) {
                                  QApplication::clipboard()->setText(
                                      finding(*scores, *s.cell, s.pair,
                                              s.pair ? m_pairs->score(s.cell->block, *s.pair) : 0));
                                  m_document->setMessage(Message::info(tr("Copied the finding")));
                              }
                          });
    m_needScores << m_copyCommand << m_copyFinding;
    addTo(menu, tr("Command &log…"), "commandLog", QKeySequence(Qt::CTRL | Qt::Key_L), {},
          [this] { showCommandLog(); });
    menu->addSeparator();
    m_addNote = addTo(menu, tr("&Note on the selection"), "addNote",
                      QKeySequence(Qt::CTRL | Qt::Key_N), {}, [this] {
                          m_tabs->setCurrentWidget(m_notesPage);
                          m_notesPage->edit();
                      });
    m_needScores << m_addNote
                 << addTo(menu, tr("&Pin the pair"), "pinSelection",
                          QKeySequence(Qt::CTRL | Qt::Key_P), QStringLiteral("pin"), [this] {
                              if (const auto p = placeOf(*m_document)) {
                                  m_notes->pin(*p);
                              }
                          });
}

void MainWindow::buildViewMenu() {
    auto* view = menuBar()->addMenu(tr("&View"));
    view->addActions(
        {m_document->selection()->backAction(), m_document->selection()->forwardAction()});
    addAction(m_document->selection()->backAction());
    addAction(m_document->selection()->forwardAction());
    view->addSeparator();
    view->addMenu(m_overview->lookMenu());
    auto* themes = view->addMenu(tr("&Theme"));
    auto* group = new QActionGroup(this);
    const auto theme = [&](const QString& text, ThemeChoice choice, const QKeySequence& keys,
                           const QString& iconName) {
        auto* a = themes->addAction(text);
        a->setCheckable(true);
        a->setChecked(currentTheme() == choice);
        a->setShortcut(keys);
        a->setObjectName(QStringLiteral("theme-") + themeName(choice));
        if (!iconName.isEmpty()) {
            setIconName(a, iconName);
        }
        group->addAction(a);
        connect(a, &QAction::triggered, this, [choice] {
            QSettings().setValue(QStringLiteral("theme"), themeName(choice));
            applyTheme(choice);
        });
    };
    theme(tr("Like the &system"), ThemeChoice::system, QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_S),
          {});
    theme(tr("&Light"), ThemeChoice::light, QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_L),
          QStringLiteral("sun"));
    theme(tr("&Dark"), ThemeChoice::dark, QKeySequence(Qt::CTRL | Qt::ALT | Qt::Key_D),
          QStringLiteral("moon"));
    view->addSeparator();
    // Which docks the user wants; a page may still do without the right one.
    const auto dock = [&](const QString& text, const char* name, const QKeySequence& keys,
                          bool* narrow) {
        auto* a = view->addAction(text);
        a->setObjectName(QLatin1String(name));
        a->setCheckable(true);
        a->setChecked(
            QSettings().value(QStringLiteral("window/") + QLatin1String(name), true).toBool());
        a->setShortcut(keys);
        connect(a, &QAction::triggered, this, [this, a, narrow](bool on) {
            if (*narrow) { // it was left out for want of room: the user wants it anyway
                *narrow = false;
                a->setChecked(on = true);
            }
            QSettings().setValue(QStringLiteral("window/") + a->objectName(), on);
            refreshState();
        });
        return a;
    };
    m_showData = dock(tr("&Data panel"), "showData", QKeySequence(Qt::Key_F3), &m_narrowData);
    m_showSelection =
        dock(tr("&Selection panel"), "showSelection", QKeySequence(Qt::Key_F4), &m_narrowSelection);
    view->addSeparator();
    for (int t = 0; t < m_tabs->count(); ++t) {
        addTo(view, tr("Page: %1").arg(m_tabs->tabText(t)),
              qPrintable(QStringLiteral("page%1").arg(t)),
              QKeySequence(QKeyCombination(Qt::ALT, static_cast<Qt::Key>(Qt::Key_1 + t))), {},
              [this, t] { m_tabs->setCurrentIndex(t); });
    }
    view->addSeparator();
    addTo(view, tr("&Full screen"), "fullScreen", QKeySequence(Qt::Key_F11), {},
          [this] { setWindowState(windowState() ^ Qt::WindowFullScreen); });
}

void MainWindow::buildHelpMenu() {
    auto* help = menuBar()->addMenu(tr("&Help"));
    addTo(help, tr("&Find an action…"), "findAction", QKeySequence(Qt::CTRL | Qt::Key_K),
          QStringLiteral("search"), [this] {
              (new ActionFinder(menuBar(), this))->exec(); // deletes itself
          });
    addTo(help, tr("&Shortcuts"), "shortcuts", QKeySequence(Qt::Key_Question), {}, [this] {
        auto* sheet =
            new ShortcutSheet(menuBar(),
                              {{tr("On a map"), tr("← → ↑ ↓"), tr("move the selection")},
                               {tr("On a map"), tr("Shift + arrows"), tr("mark several cells")},
                               {tr("On a map"), tr("Enter"), tr("open the cell's pairs")},
                               {tr("On a map"), tr("Wheel, 0"), tr("zoom; show all")},
                               {tr("In the conflict table"), tr("↑ ↓"), tr("walk over the pairs")}},
                              this);
        sheet->exec(); // deletes itself
    });
    addTo(help, tr("&Manual"), "manual", QKeySequence(Qt::Key_F1), QStringLiteral("info"),
          [this] { showHelp(this); });
    help->addSeparator();
    addTo(help, tr("&About QKOV Studio"), "about", QKeySequence(Qt::CTRL | Qt::Key_F1), {}, [this] {
        QMessageBox::about(
            this, tr("About QKOV Studio"),
            tr("<b>QKOV Studio %1</b><p>Which attention circuits do two tasks fight over, and "
               "which examples do it?<p>Free software under the GNU General Public License, "
               "version 3 or later.")
                .arg(QStringLiteral(QKOV_VERSION)));
    });
}

void MainWindow::buildToolBar() {
    m_toolBar = addToolBar(tr("Tools"));
    m_toolBar->setObjectName(QStringLiteral("toolBar"));
    m_toolBar->setMovable(false);
    m_toolBar->setIconSize(QSize(18, 18));
    m_toolBar->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    const auto button = [this](const QString& text, const char* name, const QString& iconName,
                               QMenu* menu) {
        auto* b = new QToolButton(m_toolBar);
        b->setText(text);
        nameWidget(b, name, text);
        setIconName(b, iconName);
        b->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
        b->setPopupMode(QToolButton::InstantPopup);
        b->setMenu(menu);
        b->setFocusPolicy(Qt::StrongFocus);
        m_toolBar->addWidget(b);
        return b;
    };
    button(tr("Open"), "openButton", QStringLiteral("open"), m_openMenu);
    m_toolBar->addSeparator();
    const auto taskBox = [this](const char* name, const QString& title) {
        auto* c = new QComboBox(m_toolBar);
        nameWidget(c, name, title);
        c->setToolTip(title);
        c->setMinimumWidth(96);
        c->setSizeAdjustPolicy(QComboBox::AdjustToContents);
        m_toolBar->addWidget(c);
        return c;
    };
    m_taskA = taskBox("taskA", tr("Task A: gives the contributions"));
    auto* swap = new QToolButton(m_toolBar);
    swap->setDefaultAction(m_swap);
    swap->setToolButtonStyle(Qt::ToolButtonIconOnly);
    swap->setFocusPolicy(Qt::StrongFocus);
    nameWidget(swap, "swapButton", tr("Swap the tasks"));
    m_toolBar->addWidget(swap);
    m_taskB = taskBox("taskB", tr("Task B: gives the gradients"));
    const auto tasks = [this] {
        m_document->setTasks(m_taskA->currentText().toStdString(),
                             m_taskB->currentText().toStdString());
    };
    connect(m_taskA, &QComboBox::activated, this, tasks);
    connect(m_taskB, &QComboBox::activated, this, tasks);
    m_toolBar->addSeparator();
    m_mode = new SegmentedControl(m_toolBar);
    nameWidget(m_mode, "mode", tr("Normalization"));
    for (const auto mode :
         {engine::Mode::behavioral, engine::Mode::structural, engine::Mode::hybrid}) {
        m_mode->addSegment(static_cast<int>(mode), modeName(mode), modeHint(mode));
    }
    connect(m_mode, &SegmentedControl::chosen, this,
            [this](int id) { m_document->setMode(static_cast<engine::Mode>(id)); });
    m_toolBar->addWidget(m_mode);
    m_variant = new QComboBox(m_toolBar);
    nameWidget(m_variant, "variant", tr("Variant of the score"));
    using V = engine::Variant;
    for (const auto v :
         {V::magnitude, V::signedProduct, V::symmetric, V::natural, V::cosine, V::profile}) {
        m_variant->addItem(variantName(v), static_cast<int>(v));
        m_variant->setItemData(m_variant->count() - 1, variantHint(v), Qt::ToolTipRole);
    }
    connect(m_variant, &QComboBox::activated, this,
            [this] { m_document->setVariant(static_cast<V>(m_variant->currentData().toInt())); });
    m_toolBar->addWidget(m_variant);
    m_toolBar->addSeparator();
    m_computeButton = new QToolButton(m_toolBar);
    m_computeButton->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_computeButton->setFocusPolicy(Qt::StrongFocus);
    m_computeButton->setProperty("primary", true);
    m_computeButton->setDefaultAction(m_compute);
    m_computeButton->setObjectName(QStringLiteral("computeButton"));
    m_computeButton->setMinimumWidth(108);
    m_toolBar->addWidget(m_computeButton);
    auto* spacer = new QWidget(m_toolBar);
    spacer->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    m_toolBar->addWidget(spacer);
    button(tr("Export"), "exportButton", QStringLiteral("export"), m_exportMenu);
}

} // namespace qkov::ui
