// SPDX-License-Identifier: GPL-3.0-or-later
// From a model that nobody has heard of, or gradients of another tool, to scores, through the
// dialogs; and sessions with all that was chosen. In a real window.
#include "core/dump/StoreFixture.h"
#include "document/LayoutStore.h"
#include "document/Notes.h"
#include "document/Selection.h"
#include "gui/DemoFixture.h"
#include "pages/CollectDialog.h"
#include "pages/OverviewPage.h"
#include "pages/PairMatrix.h"
#include "pages/PairsPage.h"
#include "pages/compare/ComparePage.h"
#include "pages/dialogs/ImportDialog.h"
#include "pages/layout/LayoutDialog.h"
#include "pages/window/MainWindow.h"
#include "shell/ActionFinder.h"
#include "ui/UnknownModel.h"
#include "widgets/MessageBar.h"
#include "widgets/SegmentedControl.h"
#include "widgets/StatusLine.h"
#include "widgets/Theme.h"

#include <QAction>
#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QListWidget>
#include <QMenuBar>
#include <QProcess>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QSplitter>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTest>
#include <QTimer>

#include <functional>
#include <memory>

using namespace qkov;
using namespace qkov::ui;

namespace {

const QString script = QStringLiteral(QKOV_TEST_DATA "/collect/torchscript/");

/// Runs `act` in the next dialog of this kind, once it is open; `act` has to close it.
template <class Dialog>
class InDialog {
  public:
    explicit InDialog(std::function<void(Dialog*)> act) {
        QObject::connect(&m_timer, &QTimer::timeout, [this, act = std::move(act)] {
            if (auto* dialog = qobject_cast<Dialog*>(QApplication::activeModalWidget())) {
                m_timer.stop();
                seen = true;
                act(dialog);
            }
        });
        m_timer.start(20);
    }
    bool seen = false;

  private:
    QTimer m_timer;
};

} // namespace

class TestDialogs : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_dir.path());
        applyTheme(ThemeChoice::light);
        m_demo = std::make_unique<test::DemoFixture>(8);
        QVERIFY(test::writeUnknownModel(model()));
        QVERIFY(QFile::copy(script + "model.pt", model() + "/model.pt"));
        QVERIFY(QFile::copy(script + "samples.jsonl", model() + "/first.jsonl"));
        QVERIFY(QFile::copy(script + "samples.jsonl", model() + "/second.jsonl"));
        layouts::forget(model());
    }
    void init() { openWindow(); }
    void cleanup() { m_window.reset(); }

    void anUnknownCheckpointIsAssignedCollectedAndScored() {
        m_window->open(model());
        auto* button = m_window->findChild<QPushButton*>("messageAction");
        QTRY_VERIFY(button->isVisible());
        QVERIFY(m_window->messageBar()->message().what.contains("mine"));
        QVERIFY(m_window->findChild<QAction*>("layout")->isEnabled());

        const QString saved = m_dir.filePath("mine-layout.json");
        InDialog<LayoutDialog> inLayout([&](LayoutDialog* d) {
            // Shapes can't tell the order inside the matrix; the model's code can.
            d->findChild<QComboBox*>("layoutOrder")->setCurrentIndex(1);
            QTRY_VERIFY(!d->checking());
            QVERIFY2(d->useButton()->isEnabled(), qPrintable(d->summary()->text()));
            d->saveTo(saved);
            QTest::mouseClick(d->useButton(), Qt::LeftButton);
        });
        QTest::mouseClick(button, Qt::LeftButton);
        QVERIFY(inLayout.seen);
        QTRY_COMPARE(m_window->document()->source(), Document::Source::model);
        QVERIFY(!m_window->messageBar()->isVisible());

        const QString dump = m_dir.filePath("mine.h5");
        InDialog<CollectDialog> inCollect([&](CollectDialog* d) {
            d->setOutput(dump);
            QTRY_VERIFY_WITH_TIMEOUT(!d->estimating(), 30000);
            QVERIFY2(d->runButton()->isEnabled(), qPrintable(d->estimateText()));
            QTest::keyClick(d, Qt::Key_Return);
        });
        QTest::mouseClick(m_window->findChild<QPushButton*>("collectButton"), Qt::LeftButton);
        QVERIFY(inCollect.seen);
        QTRY_COMPARE_WITH_TIMEOUT(m_window->document()->source(), Document::Source::dump, 60000);
        QCOMPARE(m_window->document()->taskNames(), QStringList({"first", "second"}));
        m_window->findChild<QAction*>("compute")->trigger();
        QTRY_VERIFY_WITH_TIMEOUT(
            m_window->document()->scores() && m_window->document()->scores()->complete(), 30000);

        // The saved file does the same for the command line, number for number.
        const QString byCommand = m_dir.filePath("by-command.h5");
        run({"collect", "--model", model() + "/model.pt", "--layout", saved, "--storage", "dense",
             "--task", "first=" + model() + "/first.jsonl", "--task",
             "second=" + model() + "/second.jsonl", "--out", byCommand});
        const dump::DumpReader ours(dump.toStdString());
        const dump::DumpReader theirs(byCommand.toStdString());
        const auto& task = ours.info().tasks.front();
        QCOMPARE(task.parameters.size(), theirs.info().tasks.front().parameters.size());
        for (const auto& [name, entry] : task.parameters) {
            const dump::Region whole{0, entry.shape[0], 0,
                                     entry.shape.size() > 1 ? entry.shape[1] : 1};
            const std::int64_t sample = 2;
            std::vector<float> a(static_cast<std::size_t>(whole.count())), b(a.size());
            ours.readGradients(task, name, std::span(&sample, 1), whole, a.data());
            theirs.readGradients(theirs.info().tasks.front(), name, std::span(&sample, 1), whole,
                                 b.data());
            QVERIFY2(a == b, name.c_str());
        }
        QCOMPARE(ours.layout().slice(Block::K, LayerIndex(1), HeadIndex(1))->start,
                 std::int64_t(16)); // head by head: 3 × 4 of head 0, then 4 of q
    }

    void theMenuLeadsThereToo() {
        m_window->open(model()); // its layout is kept from before
        QTRY_COMPARE(m_window->document()->source(), Document::Source::model);
        InDialog<LayoutDialog> inLayout([&](LayoutDialog* d) {
            QTRY_VERIFY(!d->checking());
            QCOMPARE(d->draft().fused.pattern, std::string("blocks.{layer}.mix.weight"));
            QVERIFY(d->draft().order == model::FusedOrder::perHead);
            QTest::keyClick(d, Qt::Key_Escape);
        });
        // By Ctrl+K, as somebody would who doesn't know the menu.
        InDialog<ActionFinder> inFinder([&](ActionFinder* d) {
            QTest::keyClicks(d->findChild<QLineEdit*>(), "heads are");
            QTest::keyClick(d->findChild<QLineEdit*>(), Qt::Key_Return);
        });
        m_window->findChild<QAction*>("findAction")->trigger();
        QVERIFY(inFinder.seen);
        QTRY_VERIFY(inLayout.seen);
    }

    void gradientsOfAnotherToolAreImportedByKeyboard() {
        fixture::bergson(m_dir.filePath("math"), 3, true);
        fixture::bergson(m_dir.filePath("code"), 4, true);
        fixture::put(m_dir.filePath("config.json"), fixture::gpt2Config);
        const auto type = [](QWidget* from, const QString& text) { QTest::keyClicks(from, text); };
        InDialog<ImportDialog> inImport([&](ImportDialog* d) {
            const auto fields = d->findChildren<QLineEdit*>();
            // Tab from field to field, typing.
            QTRY_VERIFY(d->focusWidget() != nullptr);
            const auto next = [&](const QString& name) {
                for (int i = 0; i < 20 && d->focusWidget()->objectName() != name; ++i) {
                    QTest::keyClick(d->focusWidget(), Qt::Key_Tab);
                }
                QCOMPARE(d->focusWidget()->objectName(), name);
            };
            next("importTaskName");
            type(d->focusWidget(), "math");
            next("importStore");
            type(d->focusWidget(), m_dir.filePath("math"));
            next("importTaskName");
            type(d->focusWidget(), "code");
            next("importStore");
            type(d->focusWidget(), m_dir.filePath("code"));
            next("importConfig");
            type(d->focusWidget(), m_dir.filePath("config.json"));
            next("importOutput");
            d->findChild<QLineEdit*>("importOutput")->clear();
            type(d->focusWidget(), m_dir.filePath("imported.h5"));
            QTRY_VERIFY(!d->reading());
            QVERIFY2(d->importButton()->isEnabled(), qPrintable(d->summary()->text()));
            QTest::keyClick(d, Qt::Key_Return);
        });
        QTest::keyClick(m_window.get(), Qt::Key_I, Qt::ControlModifier);
        QTRY_VERIFY(inImport.seen);
        QTRY_COMPARE_WITH_TIMEOUT(m_window->document()->source(), Document::Source::dump, 30000);
        m_window->findChild<QAction*>("compute")->trigger();
        QTRY_VERIFY(m_window->document()->scores() && m_window->document()->scores()->complete());
        QCOMPARE(m_window->document()->scores()->header().nA(), std::size_t(4));
    }

    void sessionsKeepWhatWasChosen() {
        m_window->open(m_demo->results());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        auto look = m_window->overview()->maps()->look();
        look.sharedRange = false;
        look.marks = false;
        look.range.log = true;
        look.sort = HeadSort::value;
        look.map = ColorMap(ColorMap::Id::magma);
        m_window->overview()->setLook(look);
        QVERIFY(m_window->findChild<QAction*>("lookLog")->isChecked());
        m_window->mapValues()->setReduction(results::Reduction::max);
        m_window->tabs()->setCurrentWidget(m_window->pairsPage());
        QTest::qWait(50);
        m_window->pairsPage()->setViewState(
            {{"order", "grouped"}, {"scope", "cell"}, {"filter", "layer:2"}});
        auto* splitter = m_window->findChild<QSplitter*>("pairsUpper");
        const int total = splitter->sizes()[0] + splitter->sizes()[1];
        splitter->setSizes({total - 450, 450});
        const QList<int> sizes = splitter->sizes();
        m_window->comparePage()->setViewState(
            {{"what", "results"}, {"common_range", true}, {"below", "scatter"}, {"block", "K"}},
            m_demo->results());
        QTRY_VERIFY(!m_window->comparePage()->otherFile().isEmpty());
        const std::vector<CellRef> marked{{Block::K, 1, 2}, {Block::K, 1, 3}, {Block::O, 4, 0}};
        m_window->document()->selection()->setCell(marked.front());
        m_window->document()->selection()->setCells(marked);
        const QString file = m_demo->file("chosen.qkovsession");
        m_window->saveSessionTo(file);
        m_window.reset();

        openWindow();
        m_window->open(file);
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        QTRY_COMPARE(m_window->tabs()->currentWidget(),
                     static_cast<QWidget*>(m_window->pairsPage()));
        QVERIFY(m_window->overview()->maps()->look() == look);
        QVERIFY(m_window->findChild<QAction*>("lookLog")->isChecked());
        QVERIFY(!m_window->findChild<QAction*>("lookShared")->isChecked());
        QVERIFY(m_window->findChild<QAction*>("lookMap-magma")->isChecked());
        QVERIFY(m_window->findChild<QAction*>("lookSortValue")->isChecked());
        QTRY_VERIFY(m_window->document()->selection()->cells() == marked);
        QCOMPARE(m_window->mapValues()->reduction(), results::Reduction::max);
        QTRY_COMPARE(m_window->findChild<QComboBox*>("reduction")->currentData().toInt(),
                     static_cast<int>(results::Reduction::max));
        QCOMPARE(m_window->pairsPage()->matrix()->order(), PairMatrix::Order::grouped);
        QCOMPARE(m_window->pairsPage()->viewState().value("scope").toString(), QString("cell"));
        QCOMPARE(m_window->pairsPage()->viewState().value("filter").toString(), QString("layer:2"));
        QTRY_COMPARE(m_window->findChild<QSplitter*>("pairsUpper")->sizes(), sizes);
        QTRY_COMPARE(m_window->comparePage()->otherFile(), m_demo->results());
        const auto compare = m_window->comparePage()->viewState();
        QCOMPARE(compare.value("what").toString(), QString("results"));
        QCOMPARE(compare.value("block").toString(), QString("K"));
        QCOMPARE(compare.value("below").toString(), QString("scatter"));
        QVERIFY(compare.value("common_range").toBool());
        QVERIFY(!m_window->messageBar()->isVisible());
    }

    void aMovedFileIsAskedFor() {
        const QString file = m_demo->file("chosen.qkovsession");
        const QString moved = m_demo->file("moved.h5");
        QVERIFY(QFile::rename(m_demo->results(), moved));
        m_window->open(file);
        auto* button = m_window->findChild<QPushButton*>("messageAction");
        QTRY_VERIFY(button->isVisible());
        QVERIFY(button->text().contains("Find"));
        QVERIFY(m_window->messageBar()->message().where.contains("demo-results.h5"));
        m_window->restoreAt(moved);
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        QTRY_COMPARE(m_window->tabs()->currentWidget(),
                     static_cast<QWidget*>(m_window->pairsPage()));
        QVERIFY(QFile::rename(moved, m_demo->results()));
    }

    void aLostLastSessionIsKept() {
        m_window->open(m_demo->results());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        m_window->notes()->setText({{Block::O, LayerIndex(1), HeadIndex(2)}, {}, {}}, "kept");
        m_window->close();
        openWindow();
        const QString moved = m_demo->file("away.h5");
        QVERIFY(QFile::rename(m_demo->results(), moved));
        QVERIFY(m_window->restoreLastSession());
        QVERIFY(m_window->messageBar()->message().advice.contains("notes"));
        m_window->close(); // with nothing open
        openWindow();
        QVERIFY(QFile::rename(moved, m_demo->results()));
        QVERIFY(m_window->restoreLastSession());
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        QTRY_COMPARE(m_window->notes()->notes().size(), std::size_t(1));
    }

    void aChangedFileIsSaid() {
        // A session about the dump, then another dump under that name.
        m_window->open(m_demo->dump());
        QTRY_COMPARE(m_window->document()->source(), Document::Source::dump);
        const QString file = m_demo->file("dump.qkovsession");
        m_window->saveSessionTo(file);
        QFile session(file);
        QVERIFY(session.open(QIODevice::ReadOnly));
        QByteArray text = session.readAll();
        session.close();
        text.replace("\"fingerprint\": \"", "\"fingerprint\": \"other");
        text.replace("\"task_a\": \"arithmetic\"", "\"task_a\": \"gone\"");
        text.replace("\"format\"", "\"bookmarks\": [], \"format\"");
        QVERIFY(test::writeFile(file, text));
        m_window->open(file);
        QTRY_VERIFY(m_window->messageBar()->isVisible());
        const QString what = m_window->messageBar()->message().what;
        for (const char* part : {"has changed", "gone", "bookmarks"}) {
            QVERIFY2(what.contains(part), qPrintable(what));
        }
        QTRY_COMPARE(m_window->document()->state(), Document::State::ready);
        QCOMPARE(m_window->document()->request().taskA, std::string("arithmetic"));
        m_window->saveSessionTo(file);
        QVERIFY(session.open(QIODevice::ReadOnly));
        QVERIFY(session.readAll().contains("bookmarks"));
    }

    void aSessionRightAfterAnotherFileIsWhole() {
        m_window->open(m_demo->dump());
        QTRY_COMPARE(m_window->document()->source(), Document::Source::dump);
        m_window->notes()->setText({{Block::O, LayerIndex(1), HeadIndex(2)}, {}, {}}, "kept");
        const QString file = m_demo->file("after.qkovsession");
        m_window->saveSessionTo(file);
        for (int n = 0; n < 5; ++n) {
            // The first is still announcing that it is open when the session comes.
            QSignalSpy opened(m_window->document(), &Document::opened);
            m_window->open(m_demo->dump());
            while (opened.isEmpty()) {
                QCoreApplication::processEvents(QEventLoop::AllEvents, 1);
            }
            m_window->open(file);
            QTRY_COMPARE(m_window->document()->state(), Document::State::ready);
            QTest::qWait(20);
            QCOMPARE(m_window->notes()->notes().size(), std::size_t(1));
        }
    }

    void resultsOfAnEarlierSessionCostNothing() {
        const auto folder = std::filesystem::path(m_dir.filePath("cache").toStdString());
        const auto cache = std::make_shared<const engine::ScoreCache>(folder);
        m_window->document()->setScoreCache(cache);
        m_window->open(m_demo->dump());
        QTRY_VERIFY(m_window->document()->canCompute());
        m_window->document()->compute();
        QTRY_VERIFY_WITH_TIMEOUT(
            m_window->document()->scores() && m_window->document()->scores()->complete(), 30000);
        const auto request = m_window->document()->request();
        auto asked = request;
        asked.mode = m_window->document()->mode();
        const std::string print = m_window->document()->dump()->info().fingerprint;
        QTRY_VERIFY(cache->find(print, asked) != nullptr); // kept in the background
        const double mean = m_window->document()->scores()->mean(Block::O, 2, 3);
        m_window.reset();

        openWindow();
        m_window->document()->setScoreCache(cache);
        m_window->open(m_demo->dump());
        QTRY_VERIFY(m_window->document()->canCompute());
        m_window->document()->compute();
        QTRY_VERIFY(m_window->document()->scores() != nullptr);
        // Not one layer after the other: at once, from the file.
        QVERIFY(m_window->document()->scores()->complete());
        QTRY_COMPARE(m_window->document()->state(), Document::State::ready);
        QCOMPARE(m_window->document()->scores()->mean(Block::O, 2, 3), mean);
    }

  private:
    QString model() const { return m_dir.filePath("mine"); }
    void openWindow() {
        m_window = std::make_unique<MainWindow>();
        m_window->resize(1440, 900);
        m_window->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
        m_window->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    }
    static void run(const QStringList& arguments) {
        QProcess program;
        program.start(QCoreApplication::applicationDirPath() + "/qkov", arguments);
        QVERIFY(program.waitForFinished(60000));
        QVERIFY2(program.exitCode() == 0, program.readAllStandardError().constData());
    }

    QTemporaryDir m_dir;
    std::unique_ptr<test::DemoFixture> m_demo;
    std::unique_ptr<MainWindow> m_window;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-dialogs-test"));
    TestDialogs t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_gui_dialogs.moc"
