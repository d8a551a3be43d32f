// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of every page and state, to be looked at:
//   xvfb-run -a -s "-screen 0 2600x1500x24" studio_screenshots FOLDER [light|dark] [WIDTHxHEIGHT]
// QT_SCALE_FACTOR=2 gives 200%.
#include "gui/DemoFixture.h"

#include "document/Selection.h"
#include "pages/CollectDialog.h"
#include "pages/OptionsDialog.h"
#include "pages/OverviewPage.h"
#include "pages/window/MainWindow.h"
#include "pages/window/RecentFiles.h"
#include "results/Summary.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QDir>
#include <QSettings>
#include <QTabWidget>
#include <QTemporaryDir>
#include <QTest>

#include <cstdio>
#include <functional>

using namespace qkov;
using namespace qkov::ui;

namespace {

bool waitFor(const std::function<bool()>& done) {
    return QTest::qWaitFor(done, 60000);
}

void shoot(QWidget* w, const QString& file) {
    QTest::qWait(350);
    w->grab().save(file);
    std::printf("%s\n", qPrintable(file));
}

} // namespace

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("studio-screenshots"));
    QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    const QStringList args = QApplication::arguments();
    const QString folder = args.value(1, QStringLiteral("."));
    const QString theme = args.value(2, QStringLiteral("light"));
    const QStringList size = args.value(3, QStringLiteral("1280x720")).split(QLatin1Char('x'));
    const bool all = args.value(4) != QLatin1String("main");
    QDir().mkpath(folder);
    applyTheme(themeFromName(theme));
    const test::DemoFixture demo(48);
    const double factor = app.devicePixelRatio();
    const auto name = [&](const char* what) {
        return QStringLiteral("%1/%2-%3-%4-%5.png")
            .arg(folder, QLatin1String(what), theme, args.value(3, QStringLiteral("1280x720")))
            .arg(factor * 100);
    };
    MainWindow w;
    w.resize(static_cast<int>(size.value(0).toInt() / factor),
             static_cast<int>(size.value(1).toInt() / factor));
    w.show();
    if (!QTest::qWaitForWindowExposed(&w)) {
        return 1;
    }
    auto* d = w.document();
    if (all) {
        shoot(&w, name("start"));
        w.open(demo.file(QStringLiteral("missing.h5")));
        waitFor([&] { return !d->message().empty(); });
        shoot(&w, name("error"));
        w.open(QStringLiteral(QKOV_RESOURCES "/demo"));
        waitFor([&] { return d->source() == Document::Source::model; });
        shoot(&w, name("model"));
        CollectDialog collect(QStringLiteral(QKOV_RESOURCES "/demo"), &w);
        collect.show();
        QTest::qWait(400);
        waitFor([&] { return !collect.estimating(); });
        shoot(&collect, name("collect"));
        collect.close();
    }
    w.open(demo.dump());
    waitFor([&] { return d->source() == Document::Source::dump; });
    if (all) {
        shoot(&w, name("dump"));
        OptionsDialog options(d->request(), &w);
        options.show();
        shoot(&options, name("options"));
        options.close();
        auto r = d->request();
        r.threads = 1;
        d->setRequest(r);
        d->compute();
        waitFor([&] { return d->scores() != nullptr || d->state() != Document::State::computing; });
        w.grab().save(name("computing"));
        std::printf("%s\n", qPrintable(name("computing")));
        d->cancel();
        shoot(&w, name("cancelled"));
        r.threads = 0;
        d->setRequest(r);
    }
    d->compute();
    waitFor([&] { return d->scores() && d->scores()->complete(); });
    if (all) {
        shoot(&w, name("overview-nothing-selected"));
    }
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
    QTest::qWait(300);
    shoot(&w, name("overview"));
    for (int t = 1; t < w.tabs()->count(); ++t) {
        w.tabs()->setCurrentIndex(t);
        QTest::qWait(600);
        shoot(&w, name(qPrintable(w.tabs()->tabText(t).toLower())));
    }
    w.tabs()->setCurrentIndex(0);
    if (all) {
        auto look = w.overview()->maps()->look();
        look.sharedRange = false;
        w.overview()->setLook(look);
        shoot(&w, name("overview-own-ranges"));
    }
    w.close();
    return 0;
}
