// SPDX-License-Identifier: GPL-3.0-or-later
// The command line itself: help, wrong usage, outputs that can't be written.
#include "Program.h"

#include <QTemporaryDir>

using namespace qkov::test;

class TestCliUsage : public QObject {
    Q_OBJECT

  private slots:
    void helpAndVersion();
    void wrongUsage_data();
    void wrongUsage();
    void sharedOptions_data();
    void sharedOptions();
    void standardOutputIsFull();
};

void TestCliUsage::helpAndVersion() {
    const Outcome help = run({QStringLiteral("--help")});
    QCOMPARE(help.code, 0);
    for (const char* command : {"info", "collect", "compute", "pair", "export", "figure", "run",
                                "compare", "check", "validate", "import"}) {
        QVERIFY2(help.out.contains(command), command);
        const Outcome own = run({QString::fromUtf8(command), QStringLiteral("--help")});
        QCOMPARE(own.code, 0);
        QVERIFY(own.err.isEmpty());
        for (const char* option : {"--json", "--quiet", "--progress", "--device", "--threads",
                                   "--memory-budget", "--version"}) {
            QVERIFY2(own.out.contains(option), command);
        }
    }
    QVERIFY(run({QStringLiteral("--version")}).out.startsWith("qkov "));
    QVERIFY(run({QStringLiteral("compute"), QStringLiteral("--version")}).out.startsWith("qkov "));
}

void TestCliUsage::wrongUsage_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("words");
    const auto row = [](const char* name, const char* arguments, const char* words) {
        QTest::newRow(name) << QString::fromUtf8(arguments).split(QLatin1Char(' '),
                                                                  Qt::SkipEmptyParts)
                            << QByteArray(words);
    };
    row("nothing", "", "no command is named");
    row("unknown command", "frobnicate", "no command is called 'frobnicate'");
    row("unknown option", "info x --frobnicate", "--frobnicate");
    row("no file", "info", "FILE is required");
    row("no tasks", "compute x.h5", "--task-a is required");
    row("unknown mode", "compute x.h5 --task-a a --task-b b --mode guess", "unknown mode");
    row("unknown variant", "compute x.h5 --task-a a --task-b b --variant guess", "unknown variant");
    row("unknown constants", "compute x.h5 --task-a a --task-b b --regularization guess",
        "unknown regularization");
    row("negative epsilon", "compute x.h5 --task-a a --task-b b --epsilon -1", "--epsilon");
    row("epsilon is no number", "compute x.h5 --task-a a --task-b b --epsilon nan", "--epsilon");
    row("ridge is infinite", "compute x.h5 --task-a a --task-b b --ridge inf", "--ridge");
    row("decay is no number", "compute x.h5 --task-a a --task-b b --ema-decay nan", "--ema-decay");
    row("resume without a place",
        "run --model x --task a=1 --task b=2 --task-a a --task-b b --resume", "--out");
    row("no number", "pair x.h5 --task-a a --task-b b --sample-i 1 --sample-j 2 --layer x --head 0",
        "--layer");
    row("bad layers", "compute x.h5 --task-a a --task-b b --layers 3-1", "runs backwards");
    row("bad blocks", "compute x.h5 --task-a a --task-b b --blocks QX", "unknown block");
    row("bad device", "compute x.h5 --task-a a --task-b b --device gpu", "--device");
    row("bad budget", "compute x.h5 --task-a a --task-b b --memory-budget lots", "--memory-budget");
    row("bad threads", "compute x.h5 --task-a a --task-b b --threads -2", "--threads");
    row("bad format", "export x.h5 --format xml --out y", "--format");
    row("task without file", "collect --model x --task math --out y", "NAME=FILE");
    row("task twice", "collect --model x --task a=1 --task a=2 --out y", "named twice");
    row("bad dtype", "collect --model x --task a=1 --out y --dtype f8", "--dtype");
    row("run without its tasks", "run --model x --task c=1 --task d=2 --task-a a --task-b d",
        "no --task is called 'a'");
    row("pooled without a file", "compute x.h5 --task-a a --task-b b --pooled", "--out");
    row("samples of no task", "import --task a=x --samples b=y --config c --out d",
        "which no --task has");
}

void TestCliUsage::wrongUsage() {
    QFETCH(QStringList, arguments);
    QFETCH(QByteArray, words);
    QVERIFY(failed(run(arguments), 2, words.constData()));
}

void TestCliUsage::sharedOptions_data() {
    QTest::addColumn<QString>("command");
    const QString tasks = QStringLiteral(" --task-a a --task-b b");
    QTest::newRow("compute") << QStringLiteral("compute /nowhere.h5") + tasks;
    QTest::newRow("pair") << QStringLiteral("pair /nowhere.h5 --sample-i 1 --sample-j 2 --layer 0 "
                                            "--head 0") +
                                 tasks;
    QTest::newRow("compare") << QStringLiteral("compare /nowhere.h5") + tasks;
    QTest::newRow("check") << QStringLiteral("check /nowhere.h5") + tasks;
    QTest::newRow("run") << QStringLiteral(
                                "run --model /nowhere --task a=x --task b=y --storage dense "
                                "--dtype f32 --compute-dtype f64 --loss sum "
                                "--fisher structural,behavioral --head-types --probe p "
                                "--max-tokens 9 --out o.h5 --resume") +
                                tasks;
}

/// Every option that these commands share is understood by each: what fails is the input.
void TestCliUsage::sharedOptions() {
    QFETCH(QString, command);
    const QString options = QStringLiteral(
        " --mode structural --variant natural --fisher-task a --fisher-estimator mean "
        "--regularization original --epsilon 1e-9 --ridge 0 --ridge-rel 1e-2 --aggregate mean "
        "--grad-scale per_token --include-bias --layers 0-3,5 --heads 0 --blocks QKVO "
        "--max-samples 7 --samples-a s --samples-b t,u --nonfinite skip --precision fast --top 3 "
        "--json - --progress --device cpu --threads 1 --memory-budget 1G");
    QTemporaryDir folder;
    QProcess process;
    process.setWorkingDirectory(folder.path());
    process.start(QStringLiteral(QKOV_PROGRAM), (command + options).split(QLatin1Char(' ')));
    const Outcome o = finish(process);
    QVERIFY2(o.code == 3 && o.err.contains("qkov: /nowhere"), o.err.constData());
}

void TestCliUsage::standardOutputIsFull() {
    const Outcome o = shell(QStringLiteral("\"$QKOV\" info \"%1\" > /dev/full").arg(demoModel()));
    QVERIFY(failed(o, 3, "standard output can't be written"));
    const Outcome json =
        shell(QStringLiteral("\"$QKOV\" info \"%1\" --json - > /dev/full").arg(demoModel()));
    QVERIFY(failed(json, 3, "standard output can't be written"));
}

QTEST_GUILESS_MAIN(TestCliUsage)
#include "tst_cli_usage.moc"
