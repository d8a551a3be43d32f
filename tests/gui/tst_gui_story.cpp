// SPDX-License-Identifier: GPL-3.0-or-later
// From a question to a finding, kept: pairs, filter, pin, note, session, quit, restore.
#include "gui/AccessibleNames.h"
#include "gui/DemoFixture.h"

#include "base/Numbers.h"
#include "document/Notes.h"
#include "document/PairProfile.h"
#include "document/Selection.h"
#include "models/ConflictModel.h"
#include "pages/ConflictTable.h"
#include "pages/DataPage.h"
#include "pages/DataPanel.h"
#include "pages/NotesPage.h"
#include "pages/OverviewPage.h"
#include "pages/PairMatrix.h"
#include "pages/PairsPage.h"
#include "pages/SelectionPanel.h"
#include "pages/compare/ComparePage.h"
#include "pages/compare/CompareView.h"
#include "pages/window/MainWindow.h"
#include "shell/HelpWindow.h"
#include "widgets/FactList.h"
#include "widgets/SegmentedControl.h"
#include "widgets/SlicePicture.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QScrollArea>
#include <QScrollBar>
#include <QSettings>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTableView>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBlock>
#include <QTextBrowser>
#include <QTimer>
#include <QToolButton>

#include <functional>
#include <memory>

using namespace qkov;
using namespace qkov::ui;

class TestStory : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        m_settings = std::make_unique<QTemporaryDir>();
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_settings->path());
        applyTheme(ThemeChoice::light);
        m_demo = std::make_unique<test::DemoFixture>(16);
        openWindow();
        m_window->open(m_demo->results());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
    }

    void pointingDrawsACrosshair() {
        auto* maps = m_window->overview()->maps();
        auto* q = maps->view(Block::Q);
        auto* o = maps->view(Block::O);
        const auto armOf = [&](int row, int column) {
            // On the map that is not pointed at, in the next cell to the left.
            const QPointF at = q->cellRect(row, column - 1).center();
            return q->grab().toImage().pixelColor((at * q->devicePixelRatioF()).toPoint());
        };
        QTest::mouseMove(m_window.get(), QPoint(5, 5));
        QTest::qWait(50);
        const QColor before = armOf(2, 3);
        QTest::mouseMove(o, o->cellRect(2, 3).center().toPoint());
        QTRY_VERIFY(q->crosshair() == std::optional(CellPosition{2, 3}));
        QTest::qWait(30);
        const QColor after = armOf(2, 3);
        QVERIFY2(after.lightness() > before.lightness() + 30,
                 qPrintable(before.name() + after.name()));
        // And the bar points at the cell's value.
        QVERIFY(m_window->findChild<QLabel*>(QStringLiteral("jobText"))
                    ->text()
                    .contains(QStringLiteral("Computed")));
    }

    void severalCellsHaveAMean() {
        auto* o = m_window->overview()->maps()->view(Block::O);
        const QPoint from = o->cellRect(1, 1).center().toPoint();
        const QPoint to = o->cellRect(2, 3).center().toPoint();
        QTest::mouseClick(o, Qt::LeftButton, {}, from);
        QTest::mousePress(o, Qt::LeftButton, {}, from);
        QTest::mouseMove(o, (from + to) / 2);
        QTest::mouseMove(o, to);
        QTest::mouseRelease(o, Qt::LeftButton, {}, to);
        QTRY_COMPARE(m_window->document()->selection()->cells().size(), std::size_t(6));
        double sum = 0;
        for (int r = 1; r <= 2; ++r) {
            for (int c = 1; c <= 3; ++c) {
                sum += m_window->document()->scores()->mean(Block::O, static_cast<std::size_t>(r),
                                                            static_cast<std::size_t>(c));
            }
        }
        const QString wanted =
            QStringLiteral("6 cells, mean ") + QString::fromStdString(formatNumber(sum / 6));
        QTRY_VERIFY2(m_window->selectionPanel()->facts()->text().contains(wanted),
                     qPrintable(m_window->selectionPanel()->facts()->text()));
        // Ctrl takes one out again.
        QTest::mouseClick(o, Qt::LeftButton, Qt::ControlModifier, to);
        QTRY_COMPARE(m_window->document()->selection()->cells().size(), std::size_t(5));
        m_window->document()->selection()->setCells({});
    }

    void modesSwitchAndAreCompared() {
        auto* d = m_window->document();
        const double behavioral = d->scores()->mean(Block::O, 0, 3);
        QTest::mouseClick(m_window->findChild<SegmentedControl*>(QStringLiteral("mode"))
                              ->button(static_cast<int>(engine::Mode::structural)),
                          Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(d->state() == Document::State::ready && d->scores() &&
                                     d->scores()->header().request.mode == engine::Mode::structural,
                                 60000);
        QVERIFY(d->scores()->mean(Block::O, 0, 3) != behavioral);
        auto* note = m_window->findChild<QLabel*>(QStringLiteral("overviewNote"));
        QTRY_VERIFY2(note->accessibleName().contains(QStringLiteral("structural")),
                     qPrintable(note->accessibleName()));
        d->setMode(engine::Mode::behavioral);
        QTRY_COMPARE(d->scores()->mean(Block::O, 0, 3), behavioral);
        m_window->tabs()->setCurrentWidget(m_window->comparePage());
        QTRY_VERIFY_WITH_TIMEOUT(m_window->comparePage()->headlineText().contains(
                                     QStringLiteral("behavioral and structural share")),
                                 60000);
        auto* view = m_window->comparePage()->view();
        for (std::size_t n = 0; n < 3; ++n) {
            QCOMPARE(view->map(n)->data().rows, 6);
            QCOMPARE(view->difference(n)->data().rows, 6);
        }
        QCOMPARE(view->difference(0)->data().value(1, 2),
                 view->map(0)->data().value(1, 2) - view->map(1)->data().value(1, 2));
        m_window->tabs()->setCurrentIndex(0);
    }

    void everythingFitsASmallScreen() {
        m_window->document()->selection()->setCell(CellRef{Block::O, 0, 3});
        QTRY_VERIFY(m_window->document()->selection()->pair().has_value());
        const QSize before = m_window->size();
        m_window->resize(1280, 720);
        auto* scroll = m_window->findChild<QScrollArea*>(QStringLiteral("centreScroll"));
        for (int t = 0; t < m_window->tabs()->count(); ++t) {
            m_window->tabs()->setCurrentIndex(t);
            QTest::qWait(60);
            const QString page = m_window->tabs()->tabText(t);
            QCOMPARE(m_window->size(), QSize(1280, 720));
            QVERIFY2(scroll->horizontalScrollBar()->maximum() == 0, qPrintable(page));
            QVERIFY2(scroll->verticalScrollBar()->maximum() == 0, qPrintable(page));
        }
        // The two texts are in sight without scrolling.
        m_window->tabs()->setCurrentIndex(0);
        QTest::qWait(60);
        for (const QWidget* text :
             {m_window->selectionPanel()->textA(), m_window->selectionPanel()->textB()}) {
            QCOMPARE(text->visibleRegion().boundingRect(), text->rect());
            QVERIFY(text->height() >= 70);
        }
        // On a narrow window the panels make way, and come when they are asked for.
        m_window->resize(760, 500);
        QTest::qWait(30);
        m_window->resize(700, 500);
        QTRY_VERIFY(!m_window->selectionPanel()->isVisible());
        QCOMPARE(m_window->width(), 700);
        action("showSelection")->trigger();
        QTRY_VERIFY(m_window->selectionPanel()->isVisible());
        m_window->resize(before);
        QTRY_VERIFY(m_window->dataPanel()->isVisible());
    }

    void actionsAreFoundByName() {
        for (int n = 0; n < 2; ++n) {
            QTimer::singleShot(200, this, [] {
                QWidget* dialog = QApplication::activeModalWidget();
                QVERIFY(dialog);
                auto* field = dialog->findChild<QLineEdit*>();
                QTest::keyClicks(field, QStringLiteral("page data"));
                QTest::keyClick(field, Qt::Key_Return);
            });
            action("findAction")->trigger();
            QTRY_COMPARE(m_window->tabs()->currentWidget(),
                         static_cast<QWidget*>(m_window->dataPage()));
            m_window->tabs()->setCurrentIndex(0);
            QTimer::singleShot(200, this, [] {
                QWidget* dialog = QApplication::activeModalWidget();
                QVERIFY(dialog);
                QTest::keyClick(dialog, Qt::Key_Escape);
            });
            action(n == 0 ? "findAction" : "shortcuts")->trigger();
        }
        activate();
    }

    void f1KnowsThePlace() {
        static const char* anchors[] = {"Overview", "Compare", "Pairs", "Checks", "Data", "Notes"};
        for (int t = 0; t < m_window->tabs()->count(); ++t) {
            m_window->tabs()->setCurrentIndex(t);
            action("manual")->trigger();
            auto* help = m_window->findChild<HelpWindow*>(QString(), Qt::FindDirectChildrenOnly);
            QVERIFY(help && help->isVisible());
            QCOMPARE(help->currentPage(), QStringLiteral("window"));
            auto* view = help->findChild<QTextBrowser*>();
            QTRY_COMPARE(view->textCursor().block().text(), QString::fromLatin1(anchors[t]));
            help->close();
        }
        m_window->tabs()->setCurrentIndex(0);
        const auto inDialog = [&](const char* name, const QString& page, const QString& heading) {
            QTimer::singleShot(500, this, [&] {
                QWidget* dialog = QApplication::activeModalWidget();
                QVERIFY(dialog);
                QTest::keyClick(dialog, Qt::Key_F1);
                auto* help = dialog->findChild<HelpWindow*>();
                QVERIFY2(help && help->isVisible(), name);
                QCOMPARE(help->currentPage(), page);
                QTRY_COMPARE(help->findChild<QTextBrowser*>()->textCursor().block().text(),
                             heading);
                test::checkNames(dialog);
                help->close();
                dialog->close();
            });
            action(name)->trigger();
        };
        inDialog("options", QStringLiteral("window"), QStringLiteral("Options"));
        inDialog("exportFigure", QStringLiteral("window"), QStringLiteral("Figure"));
        activate();
    }

    void theMapLeadsToThePairs() {
        auto* o = m_window->overview()->maps()->view(Block::O);
        QTest::mouseDClick(o, Qt::LeftButton, {}, o->cellRect(3, 4).center().toPoint());
        QTRY_COMPARE(m_window->tabs()->currentWidget(),
                     static_cast<QWidget*>(m_window->pairsPage()));
        auto* page = m_window->pairsPage();
        QTRY_VERIFY(page->isVisible());
        QTRY_COMPARE(page->table()->model()->rowCount(), 6 * 8 * 4 * 256);
        QTRY_VERIFY(!page->textA()->text().isEmpty());
        QTRY_COMPARE(page->profileView(Block::Q)->data().rows, 6);
        QTRY_VERIFY(page->diagnostics()->text().contains(QStringLiteral("Cosine: ")));
        // The profile shows the pair's own score in its own cell.
        const auto s = m_window->document()->selection()->state();
        const auto all = m_window->document()->scores()->pairs(Block::O, 3, 4);
        QCOMPARE(
            static_cast<float>(page->profileView(Block::O)->data().value(3, 4)),
            all[static_cast<std::size_t>(s.pair->i) * 16 + static_cast<std::size_t>(s.pair->j)]);
    }

    void theFilterFinds() {
        auto* table = m_window->pairsPage()->table();
        QTest::keyClicks(table->filterEdit(), QStringLiteral("layer:3 block:O head:4-5"));
        QTRY_COMPARE(table->model()->rowCount(), 2 * 256);
        for (const auto& r : table->model()->rows()) {
            QCOMPARE(r.block, Block::O);
            QCOMPARE(int(r.row), 3);
        }
        auto* view = table->view();
        view->setFocus();
        view->selectRow(5);
        QTest::keyClick(view, Qt::Key_Down);
        QTRY_VERIFY(m_window->document()->selection()->state() == table->model()->stateAt(6));
    }

    void ordersOfTheMatrix() {
        auto* page = m_window->pairsPage();
        const auto natural = page->matrix()->view()->data().rowLabels;
        QTest::mouseClick(
            page->findChild<SegmentedControl*>(QStringLiteral("matrixOrder"))->button(2),
            Qt::LeftButton);
        auto seriated = page->matrix()->view()->data().rowLabels;
        QVERIFY(seriated != natural);
        seriated.sort();
        auto sorted = natural;
        sorted.sort();
        QCOMPARE(seriated, sorted);
        // The selected pair is still the same pair.
        const auto at = page->matrix()->view()->selected();
        QVERIFY(at && page->matrix()->pairAt(at->row, at->column) ==
                          m_window->document()->selection()->pair());
    }

    void pinsAreCompared() {
        auto* page = m_window->pairsPage();
        QTest::mouseClick(page->findChild<QToolButton*>(QStringLiteral("pinPair")), Qt::LeftButton);
        QTRY_COMPARE(page->pinTable()->rowCount(), 1);
        QTest::keyClick(page->table()->view(), Qt::Key_Down);
        m_window->findChild<QAction*>(QStringLiteral("pinSelection"))->trigger();
        QTRY_COMPARE(page->pinTable()->rowCount(), 2);
        QVERIFY(page->pinTable()->isVisible());
        for (int c = 2; c < 6; ++c) {
            QVERIFY(page->pinTable()->item(0, c)->text() != QStringLiteral("–"));
        }
    }

    void theFindingIsCopiedWithOneKey() {
        QTest::keyClick(m_window.get(), Qt::Key_F8);
        const QString text = QApplication::clipboard()->text();
        QVERIFY2(text.contains(QStringLiteral("interference of arithmetic on code")),
                 qPrintable(text));
        QVERIFY(text.contains(QStringLiteral("rank")));
    }

    void theCommandReproduces() {
        m_window->findChild<QAction*>(QStringLiteral("copyCommand"))->trigger();
        const QString text = QApplication::clipboard()->text();
        QVERIFY2(text.startsWith(QStringLiteral("qkov compute ")), qPrintable(text));
        QVERIFY(text.contains(QStringLiteral("demo.h5 --task-a arithmetic --task-b code")));
        QVERIFY(!m_window->commandLog().isEmpty());
    }

    void dataShowsSlicesAndSamples() {
        m_window->tabs()->setCurrentWidget(m_window->dataPage());
        auto* page = m_window->dataPage();
        QVERIFY(page->parameters()->model()->rowCount() >= 12);
        QTRY_VERIFY(!page->picture()->words().isEmpty());
        page->search()->setText(QStringLiteral("arithmetic"));
        QTRY_VERIFY(page->samples()->model()->rowCount() > 0);
        page->samples()->selectRow(0);
        QTRY_VERIFY(!page->findChild<TextView*>(QStringLiteral("sampleText"))->text().isEmpty());
        page->search()->clear();
        QTRY_COMPARE(page->samples()->model()->rowCount(), 32);
    }

    void notesAreKeptInASession() {
        m_window->findChild<QAction*>(QStringLiteral("addNote"))->trigger();
        auto* editor = m_window->notesPage()->editor();
        QTRY_VERIFY(editor->hasFocus());
        QTest::keyClicks(editor, QStringLiteral("These two collide"));
        QCOMPARE(m_window->notes()->notes().size(), std::size_t(1));
        QTRY_COMPARE(m_window->notesPage()->list()->count(), 1);
        m_state = m_window->document()->selection()->state();
        m_session = m_demo->file(QStringLiteral("story.qkovsession"));
        m_window->saveSessionTo(m_session);
        QVERIFY(QFile::exists(m_session));
        const QString markdown = m_window->notes()->markdown(QStringLiteral("N"), {});
        QVERIFY(markdown.contains(QStringLiteral("These two collide")));
    }

    void quitAndRestore() {
        m_window->close();
        m_window.reset();
        openWindow();
        m_window->open(m_session);
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        QTRY_VERIFY(m_window->document()->selection()->state() == m_state);
        QTRY_COMPARE(m_window->notes()->notes().size(), std::size_t(1));
        QCOMPARE(m_window->notes()->pins().size(), std::size_t(2));
        QCOMPARE(m_window->tabs()->currentWidget(), static_cast<QWidget*>(m_window->notesPage()));
        QCOMPARE(m_window->notesPage()->editor()->toPlainText(),
                 QStringLiteral("These two collide"));
    }

    void theLastSessionComesBack() {
        m_window->close();
        m_window.reset();
        openWindow();
        QVERIFY(m_window->restoreLastSession());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        QTRY_VERIFY(m_window->document()->selection()->state() == m_state);
    }

    void brokenSessionsAreSaid() {
        const QString file = m_demo->file(QStringLiteral("broken.qkovsession"));
        QFile f(file);
        QVERIFY(f.open(QIODevice::WriteOnly));
        f.write("{\"format\": \"qkov-session\", \"format_version\": 1");
        f.close();
        m_window->open(file);
        QVERIFY(m_window->document()->message().severity == Message::Severity::error);
        QVERIFY(
            m_window->document()->message().where.contains(QStringLiteral("broken.qkovsession")));
        m_window->document()->clearMessage();
    }

  private:
    QAction* action(const char* name) const {
        return m_window->findChild<QAction*>(QLatin1String(name));
    }
    /// After a dialog: without a window manager nobody gives the focus back.
    void activate() {
        m_window->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    }
    void openWindow() {
        m_window = std::make_unique<MainWindow>();
        m_window->resize(1440, 900);
        m_window->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
        m_window->activateWindow(); // there may be no window manager to do it
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    }

    std::unique_ptr<QTemporaryDir> m_settings;
    std::unique_ptr<test::DemoFixture> m_demo;
    std::unique_ptr<MainWindow> m_window;
    QString m_session;
    Selection::State m_state;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-story-test"));
    TestStory t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_gui_story.moc"
