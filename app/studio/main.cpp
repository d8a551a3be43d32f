// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/window/MainWindow.h"
#include "widgets/Theme.h"

#include <QApplication>
#include <QCommandLineParser>
#include <QSettings>

#include <memory>

int main(int argc, char** argv) {
    QApplication app(argc, argv);
    QApplication::setOrganizationName(QStringLiteral("QKOV"));
    QApplication::setApplicationName(QStringLiteral("QKOV Studio"));
    QApplication::setApplicationVersion(QStringLiteral(QKOV_VERSION));
    QApplication::setDesktopFileName(QStringLiteral("qkov-studio"));

    QCommandLineParser parser;
    parser.setApplicationDescription(
        QApplication::translate("main", "Which attention circuits do two tasks fight over?"));
    parser.addHelpOption();
    parser.addVersionOption();
    parser.addPositionalArgument(
        QStringLiteral("file"),
        QApplication::translate("main",
                                "A dump, a results file, a model folder or a session to open"),
        QStringLiteral("[file]"));
    const QCommandLineOption theme(QStringLiteral("theme"),
                                   QApplication::translate("main", "light, dark or system"),
                                   QStringLiteral("theme"));
    parser.addOption(theme);
    const QCommandLineOption fresh(
        QStringLiteral("new"),
        QApplication::translate("main", "Start empty instead of with the last session"));
    parser.addOption(fresh);
    parser.process(app);

    qkov::ui::applyTheme(qkov::ui::themeFromName(
        parser.isSet(theme) ? parser.value(theme)
                            : QSettings().value(QStringLiteral("theme")).toString()));
    qkov::ui::MainWindow window;
    window.document()->setScoreCache(std::make_shared<const qkov::engine::ScoreCache>(
        qkov::engine::ScoreCache::defaultFolder()));
    window.show();
    if (!parser.positionalArguments().isEmpty()) {
        window.open(parser.positionalArguments().first());
    } else if (!parser.isSet(fresh)) {
        window.restoreLastSession();
    }
    return QApplication::exec();
}
