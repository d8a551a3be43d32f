// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/ActionFinder.h"
#include "shell/HelpPages.h"
#include "shell/HelpWindow.h"
#include "shell/ShortcutSheet.h"

#include <QLineEdit>
#include <QListWidget>
#include <QMainWindow>
#include <QMenu>
#include <QMenuBar>
#include <QTemporaryDir>
#include <QTextBrowser>
#include <QToolButton>
#include <QtTest>

#include <algorithm>

using namespace qkov::ui;

namespace {

void put(const QString& file, const char* text) {
    QFile f(file);
    QVERIFY(f.open(QFile::WriteOnly));
    f.write(text);
}

} // namespace

class TestShell : public QObject {
    Q_OBJECT

  private slots:
    void init();
    void cleanup() { m_window.reset(); }
    void findsActionsInAllMenus();
    void matchesWordsThenLetters();
    void finderRunsTheChosenAction();
    void sheetShowsEveryShortcut();
    void pagesAreOrderedAndSearched();
    void windowFollowsLinksAndSearches();
    void theManualHasNoDeadLinks();

  private:
    std::unique_ptr<QMainWindow> m_window;
    QAction* m_pdf = nullptr;
};

void TestShell::init() {
    m_window = std::make_unique<QMainWindow>();
    QMenu* file = m_window->menuBar()->addMenu("&File");
    file->addAction("&Open…")->setShortcut(QKeySequence::Open);
    QMenu* exports = file->addMenu("&Export");
    m_pdf = exports->addAction("Figure as &PDF…");
    file->addSeparator();
    file->addAction("Quit")->setEnabled(false);
    QMenu* view = m_window->menuBar()->addMenu("&View");
    view->addAction("Zoom to all maps")->setShortcut(Qt::Key_0);
}

void TestShell::theManualHasNoDeadLinks() {
    const HelpPages pages(QStringLiteral(":/help"));
    QVERIFY(pages.pages().size() >= 9);
    static const QRegularExpression link(QStringLiteral(R"((!?)\[[^\]]*\]\(([^)\s]+)\))"));
    static const QRegularExpression heading(QStringLiteral(R"((?m)^#{1,6}\s+(.*)$)"));
    int seen = 0;
    for (const HelpPage& page : pages.pages()) {
        for (auto it = link.globalMatch(page.markdown); it.hasNext();) {
            const auto m = it.next();
            const QString target = m.captured(2);
            ++seen;
            if (!m.captured(1).isEmpty()) {
                QVERIFY2(QFile::exists(QStringLiteral(":/help/") + target), qPrintable(target));
                const QString dark =
                    QString(target).replace(QStringLiteral(".png"), QStringLiteral("-dark.png"));
                QVERIFY2(QFile::exists(QStringLiteral(":/help/") + dark), qPrintable(dark));
                continue;
            }
            if (target.startsWith(QLatin1String("http"))) {
                continue;
            }
            const QString file = target.section(u'#', 0, 0);
            const HelpPage* to = file.isEmpty() ? &page : pages.find(file.chopped(3));
            QVERIFY2(to, qPrintable(page.name + QStringLiteral(": ") + target));
            const QString anchor = target.section(u'#', 1);
            bool found = anchor.isEmpty();
            for (auto h = heading.globalMatch(to->markdown); !found && h.hasNext();) {
                found = HelpPages::anchorOf(h.next().captured(1)) == anchor;
            }
            QVERIFY2(found, qPrintable(page.name + QStringLiteral(": ") + target));
        }
    }
    QVERIFY(seen > 20);
}

void TestShell::findsActionsInAllMenus() {
    const auto all = actionsOf(m_window->menuBar());
    QStringList names;
    for (const NamedAction& a : all) {
        names << a.menu + "/" + a.text;
    }
    QCOMPARE(names, QStringList({"File/Open", "File › Export/Figure as PDF", "File/Quit",
                                 "View/Zoom to all maps"}));
    QCOMPARE(plainText("Save && &close..."), QString("Save & close"));
}

void TestShell::matchesWordsThenLetters() {
    QVERIFY(ActionFinder::match("Figure as PDF", "pdf fig") >= 0);
    QVERIFY(ActionFinder::match("Figure as PDF", "fpdf") >= 0);
    QVERIFY(ActionFinder::match("Figure as PDF", "xyz") < 0);
    QVERIFY(ActionFinder::match("Open", "op") < ActionFinder::match("Develop", "op"));
    QVERIFY(ActionFinder::match("Figure as PDF", "pdf") <
            ActionFinder::match("Figure as PDF", "fpf"));
}

void TestShell::finderRunsTheChosenAction() {
    m_window->show();
    auto* finder = new ActionFinder(m_window->menuBar(), m_window.get());
    finder->show();
    auto* field = finder->findChild<QLineEdit*>();
    auto* list = finder->findChild<QListWidget*>();
    QCOMPARE(list->count(), 4);
    QTest::keyClicks(field, "fig pdf");
    QCOMPARE(list->count(), 1);
    QSignalSpy triggered(m_pdf, &QAction::triggered);
    QTest::keyClick(field, Qt::Key_Return);
    QTRY_COMPARE(triggered.size(), 1);

    // A disabled action is found, but doesn't run.
    finder = new ActionFinder(m_window->menuBar(), m_window.get());
    finder->show();
    field = finder->findChild<QLineEdit*>();
    QTest::keyClicks(field, "quit");
    QTest::keyClick(field, Qt::Key_Return);
    QVERIFY(finder->isVisible());
    finder->close();
}

void TestShell::sheetShowsEveryShortcut() {
    ShortcutSheet sheet(m_window->menuBar(), {{"On a map", "←", "move the selection"}},
                        m_window.get());
    sheet.setAttribute(Qt::WA_DeleteOnClose, false);
    QVERIFY(sheet.text().contains("File\tCtrl+O\tOpen\n"));
    QVERIFY(sheet.text().contains("View\t0\tZoom to all maps\n"));
    QVERIFY(sheet.text().contains("On a map\t←\tmove the selection\n"));
    QVERIFY(!sheet.text().contains("Quit"));
}

void TestShell::pagesAreOrderedAndSearched() {
    QTemporaryDir folder;
    put(folder.filePath("a.md"),
        "# Alpha\ntext\n## The *ridge*\nSmall values of λ are [fine](x.md).\n");
    put(folder.filePath("b.md"), "# Beta\n```\n# not a heading\n```\nridge and λ\n");
    put(folder.filePath("index.md"), "# Manual\n[b](b.md) then [a](a.md)\n");
    const HelpPages pages(folder.path());
    QStringList order;
    for (const HelpPage& p : pages.pages()) {
        order << p.title;
    }
    QCOMPARE(order, QStringList({"Manual", "Beta", "Alpha"}));
    const auto hits = pages.search("RIDGE λ");
    QCOMPARE(hits.size(), std::size_t(2));
    QCOMPARE(hits[0].heading, QString("Beta"));
    QCOMPARE(hits[1].anchor, QString("the-ridge"));
    QCOMPARE(pages.search("ridge").front().heading, QString("The ridge")); // headings first
    QVERIFY(pages.search("nowhere").empty());
    QVERIFY(pages.search("   ").empty());
}

void TestShell::windowFollowsLinksAndSearches() {
    QTemporaryDir folder;
    put(folder.filePath("index.md"), "# Manual\nSee [metric](metric.md#variants).\n");
    put(folder.filePath("metric.md"), "# Metric\n## Variants\nmagnitude\n");
    HelpWindow window(folder.path());
    window.open("metric#variants");
    QCOMPARE(window.currentPage(), QString("metric"));
    window.open("no-such-page");
    QCOMPARE(window.currentPage(), QString("index"));
    auto* view = window.findChild<QTextBrowser*>();
    QVERIFY(view->toPlainText().contains("See metric."));
    emit view->anchorClicked(QUrl("metric.md#variants"));
    QCOMPARE(window.currentPage(), QString("metric"));
    const auto buttons = window.findChildren<QToolButton*>();
    const auto back = std::find_if(buttons.begin(), buttons.end(), [](const QToolButton* b) {
        return b->accessibleName() == "Back";
    });
    QVERIFY(back != buttons.end());
    (*back)->click();
    QCOMPARE(window.currentPage(), QString("index"));

    auto* field = window.findChild<QLineEdit*>();
    auto* list = window.findChild<QListWidget*>();
    field->setText("magnitude");
    QCOMPARE(list->count(), 1);
    QVERIFY(list->item(0)->text().contains("Variants"));
    list->setCurrentRow(0);
    QCOMPARE(window.currentPage(), QString("metric"));
    field->setText("zzz");
    QVERIFY(list->item(0)->text().contains("Nothing found"));
}

QTEST_MAIN(TestShell)
#include "tst_shell.moc"
