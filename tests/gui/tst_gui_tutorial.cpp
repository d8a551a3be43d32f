// SPDX-License-Identifier: GPL-3.0-or-later
// Follows resources/help/tutorial.md step by step on the demo, by the controls that it names, and
// holds its words against what the window shows. The manual's pictures are from this run:
//   QKOV_PICTURES=resources/help/images [QKOV_THEME=dark] xvfb-run … tst_gui_tutorial
#include "document/Document.h"
#include "document/Selection.h"
#include "models/ConflictModel.h"
#include "pages/ConflictTable.h"
#include "pages/NotesPage.h"
#include "pages/OverviewPage.h"
#include "pages/PairMatrix.h"
#include "pages/PairsPage.h"
#include "pages/SelectionPanel.h"
#include "pages/checks/ChecksPage.h"
#include "pages/compare/ComparePage.h"
#include "pages/window/MainWindow.h"
#include "widgets/FactList.h"
#include "widgets/JobBar.h"
#include "widgets/MessageBar.h"
#include "widgets/SegmentedControl.h"
#include "widgets/TextView.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QClipboard>
#include <QDialog>
#include <QFileDialog>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QRegularExpression>
#include <QScreen>
#include <QSettings>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextDocument>
#include <QTimer>
#include <QToolButton>
#include <QToolTip>

#include <memory>

using namespace qkov;
using namespace qkov::ui;

class TestTutorial : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        QStandardPaths::setTestModeEnabled(true);
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, m_dir.path());
        applyTheme(themeFromName(qEnvironmentVariable("QKOV_THEME", QStringLiteral("light"))));
        QFile page(QStringLiteral(QKOV_RESOURCES "/help/tutorial.md"));
        QVERIFY(page.open(QIODevice::ReadOnly));
        QTextDocument text;
        text.setMarkdown(QString::fromUtf8(page.readAll()));
        m_words = text.toPlainText().simplified();
        QCursor::setPos(1595, 995);
        m_window = std::make_unique<MainWindow>();
        m_window->resize(1280, 760);
        m_window->move(0, 0);
        m_window->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
        m_window->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    }

    void step1OpenTheDemo() {
        picture("start");
        auto* demo = m_window->findChild<QPushButton*>(QStringLiteral("startOpenDemo"));
        QVERIFY(told(demo->text()));
        QTest::mouseClick(demo, Qt::LeftButton);
        QVERIFY(m_window->jobBar()->running());
        QTRY_VERIFY_WITH_TIMEOUT(scores() && scores()->complete(), 120000);
        QTRY_VERIFY(!document()->busy());
        QVERIFY2(told(m_window->overview()->headlineText()),
                 qPrintable(m_window->overview()->headlineText()));
    }

    void step2ReadTheMaps() {
        auto* o = map(Block::O);
        pointAt(o, o->cellRect(1, 5).center().toPoint());
        QTest::qWait(60);
        pointAt(o, o->cellRect(0, 3).center().toPoint());
        for (const Block b : allBlocks) {
            QTRY_VERIFY(map(b)->crosshair() == std::optional(CellPosition{0, 3}));
        }
        QTRY_VERIFY(QToolTip::isVisible());
        QTRY_VERIFY(QToolTip::text().contains(QStringLiteral("L0 · H3 · O")));
        QTextDocument tip;
        tip.setHtml(QToolTip::text());
        for (const QString& line : tip.toPlainText().split(QLatin1Char('\n'))) {
            if (line.startsWith(QLatin1String("Rank")) ||
                line.startsWith(QLatin1String("L0 · H3"))) {
                QVERIFY2(told(line), qPrintable(line));
            }
        }
        picture("maps");
    }

    void step3ChooseACell() {
        auto* o = map(Block::O);
        QTest::mouseClick(o, Qt::LeftButton, {}, o->cellRect(0, 3).center().toPoint());
        QTRY_COMPARE(label("cellTitle"), QStringLiteral("L0 · H3 · O"));
        QTRY_VERIFY(!m_window->selectionPanel()->textA()->text().isEmpty());
        QTRY_VERIFY2(told(label("pairTitle")), qPrintable(label("pairTitle")));
        for (auto* view :
             {m_window->selectionPanel()->textA(), m_window->selectionPanel()->textB()}) {
            QVERIFY2(told(view->text().simplified()), qPrintable(view->text()));
        }
        QCursor::setPos(1595, 995);
        QTest::qWait(300);
        picture("cell");
        // Keys do the same.
        o->setFocus();
        QTest::keyClick(o, Qt::Key_Right);
        QTRY_COMPARE(label("cellTitle"), QStringLiteral("L0 · H4 · O"));
        QTest::keyClick(m_window.get(), Qt::Key_Left, Qt::AltModifier);
        QTRY_COMPARE(label("cellTitle"), QStringLiteral("L0 · H3 · O"));
    }

    void step4WalkToTheTexts() {
        auto* o = map(Block::O);
        o->setFocus();
        QTest::keyClick(o, Qt::Key_Return);
        auto* page = m_window->pairsPage();
        QTRY_COMPARE(m_window->tabs()->currentWidget(), static_cast<QWidget*>(page));
        auto* filter = page->table()->filterEdit();
        filter->setFocus();
        QTest::keyClicks(filter, QStringLiteral("layer:0 block:O"));
        QVERIFY(told(QStringLiteral("layer:0 block:O")));
        QTRY_COMPARE(page->table()->model()->rowCount(), 8 * 60 * 60);
        QTRY_VERIFY2(told(page->table()->model()->summary()),
                     qPrintable(page->table()->model()->summary()));
        QTRY_VERIFY(!page->textA()->text().isEmpty());
        auto* order = page->findChild<SegmentedControl*>(QStringLiteral("matrixOrder"));
        QVERIFY(told(order->button(2)->text()));
        QTest::mouseClick(order->button(2), Qt::LeftButton);
        QTest::qWait(700);
        picture("pairs");
        auto* view = page->table()->view();
        view->setFocus();
        view->selectRow(0);
        const auto first = document()->selection()->state();
        QTest::keyClick(view, Qt::Key_Down);
        QTRY_VERIFY(document()->selection()->state() != first);
        QTest::keyClick(view, Qt::Key_Up);
        QTRY_VERIFY(document()->selection()->state() == first);
        QTest::keyClick(m_window.get(), Qt::Key_P, Qt::ControlModifier);
    }

    void step5AskTheNormalization() {
        QTest::keyClick(m_window.get(), Qt::Key_2, Qt::AltModifier);
        QTRY_COMPARE(m_window->tabs()->currentWidget(),
                     static_cast<QWidget*>(m_window->comparePage()));
        QTRY_VERIFY_WITH_TIMEOUT(!m_window->comparePage()->busy(), 60000);
        QTRY_VERIFY2(told(m_window->comparePage()->headlineText()),
                     qPrintable(m_window->comparePage()->headlineText()));
        QTest::qWait(400);
        picture("compare");
        QTest::keyClick(m_window.get(), Qt::Key_1, Qt::AltModifier);
        QTest::keyClick(m_window.get(), Qt::Key_2, Qt::ControlModifier); // Structural
        QTRY_VERIFY_WITH_TIMEOUT(document()->state() == Document::State::ready &&
                                     scores()->header().request.mode == engine::Mode::structural,
                                 60000);
        QTRY_VERIFY2(told(m_window->overview()->headlineText()),
                     qPrintable(m_window->overview()->headlineText()));
        const QString facts = m_window->selectionPanel()->facts()->text();
        const QString rank = facts.section(QStringLiteral("Rank: "), 1).section(u'\n', 0, 0);
        QVERIFY2(told(rank), qPrintable(facts));
        QTest::keyClick(m_window.get(), Qt::Key_1, Qt::ControlModifier);
        QTRY_VERIFY(scores()->header().request.mode == engine::Mode::behavioral);
    }

    void step6CheckIt() {
        QTest::keyClick(m_window.get(), Qt::Key_4, Qt::AltModifier);
        auto* run = m_window->findChild<QPushButton*>(QStringLiteral("runChecks"));
        QVERIFY(told(run->text()));
        QTest::mouseClick(run, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!m_window->checksPage()->busy(), 60000);
        QTRY_VERIFY2(told(m_window->checksPage()->headlineText()),
                     qPrintable(m_window->checksPage()->headlineText()));
        QTest::qWait(200);
        picture("checks");
    }

    void step7KeepIt() {
        QTest::keyClick(m_window.get(), Qt::Key_1, Qt::AltModifier);
        auto* o = map(Block::O);
        QTest::mouseClick(o, Qt::LeftButton, {}, o->cellRect(0, 3).center().toPoint());
        QTRY_COMPARE(label("cellTitle"), QStringLiteral("L0 · H3 · O"));
        QTRY_VERIFY(document()->selection()->pair().has_value());
        QTest::qWait(100);
        QTest::keyClick(m_window.get(), Qt::Key_F8);
        QVERIFY2(told(QApplication::clipboard()->text().simplified()),
                 qPrintable(QApplication::clipboard()->text()));
        QTest::keyClick(m_window.get(), Qt::Key_N, Qt::ControlModifier);
        auto* editor = m_window->notesPage()->editor();
        QTRY_VERIFY(editor->hasFocus());
        QTest::keyClicks(editor, QStringLiteral("Short sums against a build file"));
        const QString session = m_dir.filePath(QStringLiteral("demo.qkovsession"));
        answerFileDialog(session);
        QTest::keyClick(m_window.get(), Qt::Key_S, Qt::ControlModifier);
        QVERIFY(QFile::exists(session));
        activate();
        QTest::keyClick(m_window.get(), Qt::Key_1, Qt::AltModifier);
        const QString figure = m_dir.filePath(QStringLiteral("demo.pdf"));
        QTimer::singleShot(900, this, [&] {
            QWidget* dialog = QApplication::activeModalWidget();
            QVERIFY(dialog);
            grab("figure", dialog->frameGeometry());
            auto* ok = dialog->findChild<QPushButton*>(QStringLiteral("exportNow"));
            QVERIFY(told(ok->text().remove(u'…')));
            answerFileDialog(figure);
            QTest::mouseClick(ok, Qt::LeftButton);
        });
        QTest::keyClick(m_window.get(), Qt::Key_E, Qt::ControlModifier);
        activate();
        for (const char* suffix : {"pdf", "csv", "json"}) {
            const QString file = m_dir.filePath(QStringLiteral("demo.") + QLatin1String(suffix));
            QVERIFY2(QFileInfo(file).size() > 500, qPrintable(file));
        }
        QCOMPARE(m_window->messageBar()->message().severity, Message::Severity::info);
        QTest::keyClick(m_window.get(), Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
        QVERIFY(QApplication::clipboard()->text().startsWith(QStringLiteral("qkov compute ")));
        m_window->document()->clearMessage();
    }

    void cleanupTestCase() { m_window.reset(); }

  private:
    Document* document() const { return m_window->document(); }
    std::shared_ptr<const engine::Scores> scores() const { return document()->scores(); }
    HeatmapView* map(Block b) const { return m_window->overview()->maps()->view(b); }
    QString label(const char* name) const {
        auto* l = m_window->findChild<QLabel*>(QLatin1String(name));
        return l ? l->accessibleName() : QString();
    }
    void pointAt(QWidget* w, QPoint at) {
        QTest::mouseMove(m_window->windowHandle(), w->mapTo(m_window.get(), at));
    }
    /// After a dialog: without a window manager nobody gives the focus back.
    void activate() {
        m_window->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(m_window.get()));
    }
    void answerFileDialog(const QString& file) {
        QTimer::singleShot(300, this, [file] {
            auto* dialog = qobject_cast<QFileDialog*>(QApplication::activeModalWidget());
            QVERIFY(dialog);
            auto* name = dialog->findChild<QLineEdit*>(QStringLiteral("fileNameEdit"));
            QVERIFY(name);
            name->setText(file);
            QTest::keyClick(name, Qt::Key_Return);
        });
    }

    /// Whether the tutorial says this. Numbers may differ by 2%: they come from another machine's
    /// rounding.
    bool told(const QString& shown) const {
        static const QRegularExpression number(
            QStringLiteral("[0-9]+(?:[.\\x{2009}\\x{202f}][0-9]+)*"));
        const auto value = [](QString s) {
            return s.remove(QChar(0x2009)).remove(QChar(0x202F)).toDouble();
        };
        QString pattern;
        QList<double> wanted;
        qsizetype from = 0;
        const QString text = shown.simplified();
        for (auto it = number.globalMatch(text); it.hasNext();) {
            const auto m = it.next();
            pattern += QRegularExpression::escape(text.mid(from, m.capturedStart() - from)) +
                       QStringLiteral("([0-9]+(?:[.\\x{2009}\\x{202f} ][0-9]+)*)");
            wanted << value(m.captured());
            from = m.capturedEnd();
        }
        pattern += QRegularExpression::escape(text.mid(from));
        for (auto it = QRegularExpression(pattern).globalMatch(m_words); it.hasNext();) {
            const auto m = it.next();
            bool same = true;
            for (int n = 0; n < wanted.size(); ++n) {
                const double said = value(m.captured(n + 1).remove(QLatin1Char(' ')));
                same = same && std::abs(said - wanted[n]) <= 0.02 * std::abs(wanted[n]);
            }
            if (same) {
                return true;
            }
        }
        return false;
    }

    void picture(const char* name) { grab(name, m_window->geometry()); }
    /// From the screen, so that tool tips and dialogs are on it.
    void grab(const char* name, const QRect& area) {
        const QString folder = qEnvironmentVariable("QKOV_PICTURES");
        if (folder.isEmpty()) {
            return;
        }
        QTest::qWait(150);
        const bool dark = currentTheme() == ThemeChoice::dark;
        QApplication::primaryScreen()
            ->grabWindow(0, area.x(), area.y(), area.width(), area.height())
            .save(
                QStringLiteral("%1/%2%3.png")
                    .arg(folder, QLatin1String(name), dark ? QStringLiteral("-dark") : QString()));
    }

    QTemporaryDir m_dir;
    QString m_words;
    std::unique_ptr<MainWindow> m_window;
};

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-tutorial-test"));
    QApplication::setAttribute(Qt::AA_DontUseNativeDialogs);
    TestTutorial t;
    return QTest::qExec(&t, argc, argv);
}
#include "tst_gui_tutorial.moc"
