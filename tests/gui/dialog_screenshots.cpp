// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of every dialog and its states, to be looked at:
//   QT_QPA_PLATFORM=offscreen dialog_screenshots FOLDER [light|dark]
//   [layout|collect|compare|import]
// QT_SCALE_FACTOR=2 gives 200%.
#include "core/dump/StoreFixture.h"
#include "dump/Contents.h"
#include "pages/CollectDialog.h"
#include "pages/compare/ComparePage.h"
#include "pages/dialogs/ImportDialog.h"
#include "pages/layout/LayoutDialog.h"
#include "pages/window/MainWindow.h"
#include "results/ResultsFile.h"
#include "ui/FakeScores.h"
#include "ui/UnknownModel.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QDir>
#include <QFile>
#include <QLineEdit>
#include <QSettings>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <cstdio>
#include <functional>

using namespace qkov;
using namespace qkov::ui;

namespace {

QString folder, theme;

void shoot(QWidget* w, const char* what) {
    QTest::qWait(250);
    const QString file = QStringLiteral("%1/dialog-%2-%3-%4.png")
                             .arg(folder, QLatin1String(what), theme)
                             .arg(qApp->devicePixelRatio() * 100);
    w->grab().save(file);
    std::printf("%s\n", qPrintable(file));
}

void waitFor(const std::function<bool()>& done) {
    if (!QTest::qWaitFor(done, 60000)) {
        std::printf("waited in vain\n");
    }
}

void layoutDialog(const QTemporaryDir& dir) {
    LayoutNeed need;
    need.path = dir.filePath(QStringLiteral("stagewise"));
    test::writeLargerUnknownModel(need.path);
    need.list = dump::listParameters(need.path.toStdString());
    LayoutDialog dialog(need);
    dialog.show();
    waitFor([&] { return !dialog.checking(); });
    shoot(&dialog, "layout");
    auto draft = dialog.draft();
    std::swap(draft.parts[0].pattern, draft.parts[1].pattern);
    draft.parts[3].pattern = "backbone.stages.0.wo";
    dialog.setDraft(draft);
    waitFor([&] { return !dialog.checking(); });
    shoot(&dialog, "layout-wrong");
    dialog.setDraft({});
    waitFor([&] { return !dialog.checking(); });
    shoot(&dialog, "layout-empty");
    need.path = dir.filePath(QStringLiteral("mine"));
    test::writeUnknownModel(need.path);
    need.list = dump::listParameters(need.path.toStdString());
    LayoutDialog fused(need);
    fused.show();
    waitFor([&] { return !fused.checking(); });
    shoot(&fused, "layout-fused");
    MainWindow w;
    w.resize(1280, 720);
    w.show();
    w.open(need.path);
    waitFor([&] { return w.document()->layoutNeed().has_value(); });
    shoot(&w, "layout-asked");
}

void importDialog(const QTemporaryDir& dir) {
    ImportDialog dialog(dir.path());
    dialog.show();
    waitFor([&] { return !dialog.reading(); });
    shoot(&dialog, "import-empty");
    fixture::bergson(dir.filePath(QStringLiteral("arithmetic")), 60, true);
    fixture::bergson(dir.filePath(QStringLiteral("code")), 48, true);
    fixture::put(dir.filePath(QStringLiteral("config.json")), fixture::gpt2Config);
    dialog.addTask(QStringLiteral("arithmetic"), dir.filePath(QStringLiteral("arithmetic")));
    dialog.addTask(QStringLiteral("code"), dir.filePath(QStringLiteral("code")));
    dialog.setConfig(dir.filePath(QStringLiteral("config.json")));
    waitFor([&] { return !dialog.reading(); });
    shoot(&dialog, "import");
    fixture::put(dir.filePath(QStringLiteral("code/gradients.bin")), "short");
    dialog.setConfig(dir.filePath(QStringLiteral("nothing.json")));
    waitFor([&] { return !dialog.reading(); });
    shoot(&dialog, "import-wrong");
}

void collectDialog(const QTemporaryDir& dir) {
    CollectDialog dialog(QStringLiteral(QKOV_RESOURCES "/demo"));
    dialog.setOutput(dir.filePath(QStringLiteral("demo-gradients.h5")));
    dialog.show();
    shoot(&dialog, "collect-reading");
    waitFor([&] { return !dialog.estimating(); });
    shoot(&dialog, "collect");
    dialog.setOutput(QStringLiteral("/nowhere/demo.h5"));
    shoot(&dialog, "collect-wrong");
    dialog.close();
    const QString folderOfModule = dir.filePath(QStringLiteral("module"));
    test::writeUnknownModel(folderOfModule);
    QFile::copy(QStringLiteral(QKOV_TEST_DATA "/collect/torchscript/model.pt"),
                folderOfModule + QStringLiteral("/model.pt"));
    QFile::copy(QStringLiteral(QKOV_TEST_DATA "/collect/torchscript/samples.jsonl"),
                folderOfModule + QStringLiteral("/samples.jsonl"));
    CollectDialog module(folderOfModule);
    module.show();
    waitFor([&] { return !module.estimating(); });
    shoot(&module, "collect-module");
}

/// Two results that can't be subtracted, and two that can.
void compareResults(const QTemporaryDir& dir) {
    Document document;
    ComparePage page(&document);
    page.resize(1200, 640);
    page.show();
    document.showScores(test::fakeScores());
    Job job;
    test::FakeShape larger;
    larger.layers = 5;
    for (const auto& [name, shape] : {std::pair{"larger.h5", larger}, {"same.h5", {}}}) {
        const QString file = dir.filePath(QLatin1String(name));
        results::writeResults(file.toStdString(), *test::fakeScores(shape), job);
        page.openOther(file);
        waitFor([&] { return !page.busy(); });
        shoot(&page, qPrintable(QStringLiteral("compare-") + QLatin1String(name).chopped(3)));
    }
    page.openOther(dir.filePath(QStringLiteral("none.h5")));
    waitFor([&] { return !page.busy(); });
    shoot(&page, "compare-none");
}

} // namespace

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("dialog-screenshots"));
    QStandardPaths::setTestModeEnabled(true);
    const QTemporaryDir dir;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, dir.path());
    folder = QApplication::arguments().value(1, QStringLiteral("."));
    theme = QApplication::arguments().value(2, QStringLiteral("light"));
    QDir().mkpath(folder);
    applyTheme(themeFromName(theme));
    const QString which = QApplication::arguments().value(3);
    if (which.isEmpty() || which == QLatin1String("layout")) {
        layoutDialog(dir);
    }
    if (which.isEmpty() || which == QLatin1String("collect")) {
        collectDialog(dir);
    }
    if (which.isEmpty() || which == QLatin1String("compare")) {
        compareResults(dir);
    }
    if (which.isEmpty() || which == QLatin1String("import")) {
        importDialog(dir);
    }
    return 0;
}
