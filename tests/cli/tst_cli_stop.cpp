// SPDX-License-Identifier: GPL-3.0-or-later
// Ctrl+C: exit code 130, soon, the old file kept, nothing left behind.
#include "Program.h"

#include <QTemporaryDir>
#include <csignal>

using namespace qkov::test;

class TestCliStop : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void collect();
    void compute();
    void runAndResume();

  private:
    /// Starts, waits for the first progress, interrupts; true if it stopped as it should.
    bool interrupted(const QStringList& arguments, const QByteArray& stage);
    QString path(const char* name) const { return m_dir.filePath(QString::fromUtf8(name)); }
    QTemporaryDir m_dir;
};

// Cancelling takes ≤ 200 ms; the rest is for a busy machine and the end of the process.
constexpr qint64 mostMs = 1500;

bool TestCliStop::interrupted(const QStringList& arguments, const QByteArray& stage) {
    QProcess process;
    process.start(QStringLiteral(QKOV_PROGRAM),
                  arguments + QStringList{QStringLiteral("--progress")});
    process.setReadChannel(QProcess::StandardError);
    QByteArray seen;
    while (!seen.contains(stage)) {
        if (!process.waitForReadyRead(60'000)) {
            qWarning() << "no progress, but" << seen << process.readAllStandardError();
            return false;
        }
        seen += process.readAllStandardError();
    }
    QElapsedTimer timer;
    timer.start();
    ::kill(pid_t(process.processId()), SIGINT);
    const Outcome o = finish(process);
    const qint64 ms = timer.elapsed();
    if (o.code != 130 || ms > mostMs || !o.err.endsWith("qkov: cancelled\n") || !o.out.isEmpty()) {
        qWarning() << "code" << o.code << "after" << ms << "ms" << o.err << o.out.left(200);
        return false;
    }
    return true;
}

void TestCliStop::initTestCase() {
    const Outcome o = collectDemo(path("demo.dump"), 60);
    QVERIFY2(o.code == 0, o.err.constData());
}

void TestCliStop::collect() {
    QFile old(path("old.dump"));
    QVERIFY(old.open(QIODevice::WriteOnly));
    old.write("precious");
    old.close();
    QVERIFY(interrupted(
        {QStringLiteral("collect"), QStringLiteral("--model"), demoModel(),
         QStringLiteral("--task"), QStringLiteral("arithmetic=") + demo("arithmetic.jsonl"),
         QStringLiteral("--task"), QStringLiteral("code=") + demo("code.jsonl"),
         QStringLiteral("--compute-dtype"), QStringLiteral("f64"), QStringLiteral("--storage"),
         QStringLiteral("dense"), QStringLiteral("--dtype"), QStringLiteral("f32"),
         QStringLiteral("--out"), path("old.dump")},
        " %"));
    QVERIFY(old.open(QIODevice::ReadOnly));
    QCOMPARE(old.readAll(), QByteArray("precious"));
    QCOMPARE(QDir(m_dir.path()).entryList(QDir::Files).size(), 2);
}

void TestCliStop::compute() {
    QVERIFY(interrupted({QStringLiteral("compute"), path("demo.dump"), QStringLiteral("--task-a"),
                         QStringLiteral("arithmetic"), QStringLiteral("--task-b"),
                         QStringLiteral("code"), QStringLiteral("--threads"), QStringLiteral("1"),
                         QStringLiteral("--out"), path("never.results")},
                        " %"));
    QVERIFY(!QFileInfo::exists(path("never.results")));
    QCOMPARE(QDir(m_dir.path()).entryList(QDir::Files).size(), 2);
}

/// What an interrupted `run --resume` had finished is not done again, and the numbers are those of
/// a run in one go.
void TestCliStop::runAndResume() {
    const QStringList job{QStringLiteral("run"),
                          QStringLiteral("--model"),
                          demoModel(),
                          QStringLiteral("--task"),
                          QStringLiteral("arithmetic=") + demo("arithmetic.jsonl"),
                          QStringLiteral("--task"),
                          QStringLiteral("code=") + demo("code.jsonl"),
                          QStringLiteral("--task-a"),
                          QStringLiteral("arithmetic"),
                          QStringLiteral("--task-b"),
                          QStringLiteral("code"),
                          QStringLiteral("--blocks"),
                          QStringLiteral("Q"),
                          QStringLiteral("--compute-dtype"),
                          QStringLiteral("f64"),
                          QStringLiteral("--device"),
                          QStringLiteral("cpu")};
    const QStringList resumed =
        job + QStringList{QStringLiteral("--resume"), QStringLiteral("--out"), path("r.results")};
    QVERIFY(interrupted(resumed, "Collecting code, "));
    QVERIFY(!QFileInfo::exists(path("r.results")));
    QVERIFY(QFileInfo::exists(path("r.results.partial")));
    const QStringList json{QStringLiteral("--json"), QStringLiteral("-")};
    const Outcome second = run(resumed + json);
    QVERIFY2(second.code == 0, second.err.constData());
    QVERIFY2(second.err.contains("already collected"), second.err.constData());
    QVERIFY(!QFileInfo::exists(path("r.results.partial")));
    const Outcome whole = run(job + json);
    QVERIFY2(whole.code == 0, whole.err.constData());
    QVERIFY(whole.json()["blocks"] == second.json()["blocks"]);
}

QTEST_GUILESS_MAIN(TestCliStop)
#include "tst_cli_stop.moc"
