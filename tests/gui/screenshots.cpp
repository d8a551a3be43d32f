// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of every page, dialog and state, to be looked at. One run makes them in one theme and
// size; screenshots.sh makes all, and sheets of them.
//   xvfb-run -a -s "-screen 0 2600x1500x24" studio_screenshots FOLDER [light|dark] [WIDTHxHEIGHT]
// The size is that of the window in device pixels; QT_SCALE_FACTOR=2 gives 200%.
#include "gui/DemoFixture.h"

#include "document/Notes.h"
#include "document/Selection.h"
#include "pages/CollectDialog.h"
#include "pages/ConflictTable.h"
#include "pages/DataPage.h"
#include "pages/NotesPage.h"
#include "pages/OptionsDialog.h"
#include "pages/OverviewPage.h"
#include "pages/PairsPage.h"
#include "pages/checks/ChecksPage.h"
#include "pages/compare/ComparePage.h"
#include "pages/window/MainWindow.h"
#include "pages/window/RecentFiles.h"
#include "results/Summary.h"
#include "shell/ActionFinder.h"
#include "shell/HelpWindow.h"
#include "shell/ShortcutSheet.h"
#include "widgets/SegmentedControl.h"
#include "widgets/Theme.h"

#include <QAction>
#include <QApplication>
#include <QDir>
#include <QLineEdit>
#include <QMenuBar>
#include <QPlainTextEdit>
#include <QScrollArea>
#include <QScrollBar>
#include <QSettings>
#include <QStandardPaths>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QToolButton>

#include <cstdio>
#include <functional>

using namespace qkov;
using namespace qkov::ui;

namespace {

bool waitFor(const std::function<bool()>& done) {
    return QTest::qWaitFor(done, 60000);
}

class Album {
  public:
    Album(MainWindow& window, const QString& folder, const QString& suffix)
        : w(window)
        , m_folder(folder)
        , m_suffix(suffix) {}

    void shoot(const char* what, QWidget* of = nullptr, int wait = 250) {
        QTest::qWait(wait);
        QWidget* widget = of ? of : &w;
        const QString file =
            QStringLiteral("%1/%2-%3.png").arg(m_folder, QLatin1String(what), m_suffix);
        widget->grab().save(file);
        std::printf("%s %dx%d\n", qPrintable(file), widget->width(), widget->height());
        auto* scroll = w.findChild<QScrollArea*>(QStringLiteral("centreScroll"));
        if (!of && scroll->horizontalScrollBar()->maximum() > 0) {
            std::printf("  is wider than the window by %d\n",
                        scroll->horizontalScrollBar()->maximum());
            for (int t = 0; t < w.tabs()->count(); ++t) {
                std::printf("  %s needs %d\n", qPrintable(w.tabs()->tabText(t)),
                            w.tabs()->widget(t)->minimumSizeHint().width());
            }
        }
        std::fflush(stdout);
    }
    void page(int index, const char* what, int wait = 500) {
        w.tabs()->setCurrentIndex(index);
        shoot(what, nullptr, wait);
    }
    /// Picture of a dialog that `open` shows and that blocks.
    void modal(const char* what, const std::function<void()>& open,
               const std::function<void(QWidget*)>& prepare = {}) {
        QTimer::singleShot(400, &w, [this, what, prepare] {
            QWidget* dialog = QApplication::activeModalWidget();
            if (!dialog) {
                std::printf("no dialog for %s\n", what);
                return;
            }
            if (prepare) {
                prepare(dialog);
            }
            shoot(what, dialog);
            dialog->close();
        });
        open();
        QTest::qWait(50);
    }

    MainWindow& w;

  private:
    QString m_folder, m_suffix;
};

QAction* action(MainWindow& w, const char* name) {
    return w.findChild<QAction*>(QLatin1String(name));
}

void trigger(MainWindow& w, const char* name) {
    if (auto* a = action(w, name)) {
        a->trigger();
    } else {
        std::printf("no action %s\n", name);
    }
}

void beforeScores(Album& album, const test::DemoFixture& demo) {
    auto& w = album.w;
    auto* d = w.document();
    album.shoot("01-start");
    w.open(demo.file(QStringLiteral("missing.h5")));
    waitFor([&] { return !d->message().empty(); });
    album.shoot("02-error-missing");
    const QString bad = demo.file(QStringLiteral("truncated.h5"));
    QFile::copy(demo.dump(), bad);
    QFile(bad).resize(100000);
    d->clearMessage();
    w.open(bad);
    waitFor([&] { return !d->message().empty(); });
    album.shoot("03-error-truncated");
    d->clearMessage();
    RecentFiles::add(demo.results());
    RecentFiles::add(demo.dump());
    w.open(QStringLiteral(QKOV_RESOURCES "/demo"));
    waitFor([&] { return d->source() == Document::Source::model; });
    album.shoot("04-model");
    CollectDialog collect(QStringLiteral(QKOV_RESOURCES "/demo"), &w);
    collect.show();
    QTest::qWait(400);
    waitFor([&] { return !collect.estimating(); });
    album.shoot("05-collect", &collect);
    collect.close();
    collect::CollectRequest request = collect.request();
    request.out = demo.file(QStringLiteral("again.h5")).toStdString();
    d->collect(request);
    waitFor([&] { return d->runner()->progress().fraction > 0.02; });
    album.shoot("06-collecting", nullptr, 60);
    d->cancel();
    waitFor([&] { return d->runner()->drained(); });
    album.shoot("07-collect-cancelled");

    w.open(demo.dump());
    waitFor([&] { return d->source() == Document::Source::dump; });
    album.page(0, "10-dump-overview", 300);
    album.page(1, "11-dump-compare", 200);
    album.page(2, "12-dump-pairs", 200);
    album.page(3, "13-dump-checks", 200);
    album.page(4, "14-dump-data", 200);
    album.page(5, "15-dump-notes", 200);
    w.tabs()->setCurrentIndex(0);
    OptionsDialog options(d->request(), &w);
    options.show();
    album.shoot("16-options", &options);
    options.close();
    auto r = d->request();
    r.threads = 1;
    d->setRequest(r);
    d->compute();
    waitFor([&] { return d->scores() != nullptr || d->state() != Document::State::computing; });
    album.shoot("17-computing", nullptr, 0);
    d->cancel();
    album.shoot("18-cancelled");
    r.threads = 0;
    d->setRequest(r);
}

void withScores(Album& album, const test::DemoFixture& demo) {
    auto& w = album.w;
    auto* d = w.document();
    album.page(0, "20-nothing-selected", 300);
    const auto o = results::overview(*d->scores());
    if (o.peak) {
        const auto& h = d->scores()->header();
        const auto at = [](const auto& v, std::int64_t n) {
            return static_cast<int>(std::find(v.begin(), v.end(), n) - v.begin());
        };
        d->selection()->setCell(CellRef{o.peak->block, at(h.layers, o.peak->layer.value),
                                        at(h.heads, o.peak->head.value)});
    }
    waitFor([&] { return d->selection()->pair().has_value(); });
    album.shoot("21-overview", nullptr, 500);
    auto* o4 = w.overview()->maps()->view(Block::O);
    QTest::mouseMove(w.windowHandle(), o4->mapTo(&w, o4->cellRect(1, 5).center().toPoint()));
    album.shoot("22-overview-hover");
    auto look = w.overview()->maps()->look();
    const auto plain = look;
    look.sharedRange = false;
    look.margins = true;
    look.sort = HeadSort::value;
    w.overview()->setLook(look);
    d->selection()->setCells({{Block::O, 1, 1}, {Block::O, 1, 2}, {Block::O, 2, 2}});
    album.shoot("23-overview-own-ranges-margins");
    d->selection()->setCells({});
    w.overview()->setLook(plain);
    if (auto* matrix = w.findChild<SegmentedControl*>(QStringLiteral("pairsView"))) {
        matrix->button(1)->click();
        album.shoot("24-overview-matrix");
        matrix->button(0)->click();
    }
    w.tabs()->setCurrentIndex(1);
    album.shoot("30-compare-computing", nullptr, 0);
    waitFor([&] { return !w.comparePage()->busy(); });
    album.shoot("31-compare-differences", nullptr, 500);
    w.findChild<SegmentedControl*>(QStringLiteral("compareLower"))->button(1)->click();
    album.shoot("32-compare-scatter");
    auto* what = w.findChild<SegmentedControl*>(QStringLiteral("compareWhat"));
    what->button(1)->click();
    album.shoot("33-compare-results-none");
    w.comparePage()->openOther(demo.results());
    waitFor([&] { return !w.comparePage()->busy(); });
    album.shoot("34-compare-results", nullptr, 500);
    what->button(0)->click();
    album.page(2, "40-pairs", 900);
    auto* filter = w.pairsPage()->table()->filterEdit();
    filter->setText(QStringLiteral("layer:0-1 block:O group:equation"));
    w.findChild<SegmentedControl*>(QStringLiteral("matrixOrder"))->button(1)->click();
    trigger(w, "pinSelection");
    QTest::qWait(300);
    QTest::keyClick(w.pairsPage()->table()->view(), Qt::Key_Down);
    QTest::qWait(300);
    trigger(w, "pinSelection");
    album.shoot("41-pairs-filtered-pinned", nullptr, 600);
    filter->setText(QStringLiteral("layer:x"));
    album.shoot("42-pairs-filter-problem", nullptr, 500);
    filter->clear();
    album.page(3, "50-checks", 300);
    w.checksPage()->run();
    album.shoot("51-checks-running", nullptr, 40);
    waitFor([&] { return !w.checksPage()->busy(); });
    album.shoot("52-checks-done", nullptr, 300);
    album.page(4, "60-data", 300);
    w.dataPage()->samples()->selectRow(3);
    w.dataPage()->parameters()->selectRow(0);
    album.shoot("61-data-sample");
    w.dataPage()->search()->setText(QStringLiteral("nothing has this"));
    album.shoot("62-data-search-empty");
    w.dataPage()->search()->clear();
    trigger(w, "addNote");
    album.shoot("70-notes-empty");
    w.notesPage()->editor()->setPlainText(QStringLiteral(
        "These two collide in the first layer: both are short and repeat one token.\nLook at "
        "the other equations."));
    album.shoot("71-notes");
    w.tabs()->setCurrentIndex(0);
    album.modal("80-export-figure", [&] { trigger(w, "exportFigure"); });
    album.modal("81-shortcuts", [&] { trigger(w, "shortcuts"); });
    album.modal(
        "82-action-finder", [&] { trigger(w, "findAction"); },
        [](QWidget* dialog) {
            if (auto* e = dialog->findChild<QLineEdit*>()) {
                e->setText(QStringLiteral("export"));
            }
        });
    album.modal("83-command-log", [&] { trigger(w, "commandLog"); });
    album.modal("84-about", [&] { trigger(w, "about"); });
    trigger(w, "manual");
    QTest::qWait(200);
    if (auto* help = w.findChild<HelpWindow*>()) {
        album.shoot("85-help", help);
        if (auto* e = help->findChild<QLineEdit*>()) {
            e->setText(QStringLiteral("fisher"));
            album.shoot("86-help-search", help, 400);
        }
        help->open(QStringLiteral("tutorial#2-read-the-maps"));
        album.shoot("87-help-pictures", help, 400);
        help->resize(560, 500);
        album.shoot("88-help-pictures-narrow", help, 400);
        help->close();
    }
    for (auto* menu : w.menuBar()->findChildren<QMenu*>(QString(), Qt::FindDirectChildrenOnly)) {
        menu->popup(w.mapToGlobal(QPoint(10, 30)));
        album.shoot(qPrintable(QStringLiteral("90-menu-") +
                               menu->title().remove(QLatin1Char('&')).toLower()),
                    menu, 120);
        menu->close();
    }
    d->swapTasks();
    album.shoot("95-outdated-or-computing", nullptr, 100);
    d->close();
    album.shoot("99-start-with-recent");
}

} // namespace

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-screenshots"));
    QStandardPaths::setTestModeEnabled(true);
    QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    const QStringList args = QApplication::arguments();
    const QString folder = args.value(1, QStringLiteral("."));
    const QString theme = args.value(2, QStringLiteral("light"));
    const QString size = args.value(3, QStringLiteral("1280x720"));
    QDir().mkpath(folder);
    applyTheme(themeFromName(theme));
    const test::DemoFixture demo(48);
    const double factor = app.devicePixelRatio();
    MainWindow w;
    w.resize(static_cast<int>(size.section(u'x', 0, 0).toInt() / factor),
             static_cast<int>(size.section(u'x', 1, 1).toInt() / factor));
    w.show();
    if (!QTest::qWaitForWindowExposed(&w)) {
        return 1;
    }
    w.activateWindow();
    Album album(w, folder, QStringLiteral("%1-%2-%3").arg(theme, size).arg(factor * 100));
    auto* d = w.document();
    beforeScores(album, demo);
    d->compute();
    waitFor([&] { return d->scores() && d->scores()->complete(); });
    withScores(album, demo);
    w.close();
    return 0;
}
