// SPDX-License-Identifier: GPL-3.0-or-later
// The window: assembly and wiring. What it shows lives in the pages, what is true in the document.
#pragma once

#include "document/Document.h"
#include "document/Session.h"

#include <QMainWindow>

class QAction;
class QComboBox;
class QMenu;
class QStackedWidget;
class QTabWidget;
class QToolBar;
class QToolButton;

namespace qkov::ui {

class CellPairs;
class ChecksPage;
class ComparePage;
class DataPage;
class DataPanel;
class JobBar;
class MapValues;
class MessageBar;
class ModelPage;
class Notes;
class NotesPage;
class OverviewPage;
class PairProfile;
class PairsPage;
class SegmentedControl;
class SelectionPanel;
class StartPage;

class MainWindow : public QMainWindow {
    Q_OBJECT

  public:
    explicit MainWindow(QWidget* parent = nullptr);
    ~MainWindow() override;

    Document* document() const { return m_document; }
    ComparePage* comparePage() const { return m_comparePage; }
    ChecksPage* checksPage() const { return m_checksPage; }
    OverviewPage* overview() const { return m_overview; }
    SelectionPanel* selectionPanel() const { return m_selectionPanel; }
    DataPanel* dataPanel() const { return m_dataPanel; }
    JobBar* jobBar() const { return m_jobBar; }
    MessageBar* messageBar() const { return m_messageBar; }
    QTabWidget* tabs() const { return m_tabs; }
    MapValues* mapValues() const { return m_values; }
    PairsPage* pairsPage() const { return m_pairsPage; }
    DataPage* dataPage() const { return m_dataPage; }
    NotesPage* notesPage() const { return m_notesPage; }
    Notes* notes() const { return m_notes; }

    void open(const QString& path);
    /// Writes the four maps as they are shown. @throws qkov::InputError
    void exportMaps(const QString& file);

    Session session() const;
    /// @throws qkov::InputError
    void saveSessionTo(const QString& file);
    void openSession(const QString& file);
    /// Opens the session whose file was not found with the file at its new place.
    void restoreAt(const QString& path);
    /// What was open when the last window closed. False: nothing.
    bool restoreLastSession();
    /// Commands that reproduce what was computed since the window opened, oldest first.
    const QStringList& commandLog() const { return m_commands; }

  public slots:
    void openDemo();
    void showCollectDialog();
    void showImportDialog();
    void showLayoutDialog();

  protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    void closeEvent(QCloseEvent* event) override;
    bool eventFilter(QObject* object, QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    // WindowActions.cpp
    QAction* addTo(QMenu* menu, const QString& text, const char* name, const QKeySequence& shortcut,
                   const QString& iconName, const std::function<void()>& run);
    void buildActions();
    void buildFileMenu();
    void buildAnalysisMenu();
    void buildViewMenu();
    void buildHelpMenu();
    void buildToolBar();
    void fillRecentMenu();
    // WindowDialogs.cpp
    std::optional<LayoutNeed> layoutSubject() const;
    // WindowExports.cpp
    QString suggestedFile(const QString& suffix) const;
    void showFigureDialog();
    void chooseFigure(const QString& suffix);
    void chooseFile(const QString& title, const QString& suffix, const QString& filter,
                    const std::function<void(const QString&)>& use);
    // WindowSession.cpp
    static QString lastSessionFile();
    QJsonObject viewState() const;
    void setViewState(const Session& session);
    void restore(const Session& session);
    void restoreOpened();
    void sayWhatChanged(const Session& session, bool sameTasks);
    /// The file of a session is gone: the message offers to find it.
    void askForFile(const Session& session);
    void findLostFile();
    static QString findAction() { return tr("Find the file…"); }
    void restoreSelection();
    void chooseSession();
    void saveSessionAs(bool ask);
    void keepLastSession();
    void exportNotes();
    // WindowStates.cpp
    void logCommand();
    QString commandText() const;
    /// Page of the manual about what is shown.
    QString helpTopic() const;
    void showHelp(QWidget* place);
    void showCommandLog();
    void refreshState();
    void showDocks();
    void fitDocks();
    void refreshRequest();
    void refreshTitle();
    QString idleText() const;

    void buildPages();
    void buildDocks();
    void restoreLayout();

    Document* m_document;
    MapValues* m_values;
    CellPairs* m_pairs;
    PairProfile* m_profile;
    Notes* m_notes;

    QStackedWidget* m_stack;
    StartPage* m_start;
    ModelPage* m_modelPage;
    QTabWidget* m_tabs;
    ComparePage* m_comparePage;
    ChecksPage* m_checksPage;
    OverviewPage* m_overview;
    PairsPage* m_pairsPage;
    DataPage* m_dataPage;
    NotesPage* m_notesPage;
    DataPanel* m_dataPanel;
    SelectionPanel* m_selectionPanel;
    QDockWidget* m_dataDock;
    QDockWidget* m_selectionDock;
    MessageBar* m_messageBar;
    JobBar* m_jobBar;

    QToolBar* m_toolBar;
    QMenu* m_openMenu;
    QMenu* m_recentMenu;
    QMenu* m_exportMenu;
    QComboBox* m_taskA;
    QComboBox* m_taskB;
    QComboBox* m_variant;
    SegmentedControl* m_mode;
    QToolButton* m_computeButton;
    QAction* m_compute;
    QAction* m_cancel;
    QAction* m_swap;
    QAction* m_options;
    QAction* m_collect;
    QAction* m_import;
    QAction* m_layout;
    QAction* m_close;
    QAction* m_copyCommand;
    QAction* m_copyFinding;
    QAction* m_addNote;
    QAction* m_showData;
    QAction* m_showSelection;
    QList<QAction*> m_needScores;
    QList<QAction*> m_needSource;
    /// Open the demo: compute as soon as its dump is open.
    bool m_computeWhenOpen = false;
    static constexpr int dataPanelFrom = 1060; ///< least width of a window that shows the panel
    static constexpr int selectionPanelFrom = 800;
    bool m_narrowData = false; ///< left out because the window is narrow
    bool m_narrowSelection = false;
    bool m_ownDocks = false;            ///< their widths were chosen, once
    std::optional<Session> m_restoring; ///< what is still to be restored of a session
    bool m_restoreSelection = false;    ///< all but the selection is restored
    std::optional<Session> m_lost;      ///< its file was not found
    QString m_sessionFile;
    QJsonObject m_sessionView, m_sessionOthers; ///< with keys of a newer version
    QStringList m_commands;
    std::weak_ptr<const engine::Scores> m_logged;
};

/// The demo's model folder, installed or in the source tree; empty if there is none.
QString demoFolder();

} // namespace qkov::ui
