// SPDX-License-Identifier: GPL-3.0-or-later
// Runs qkov as a user does.
#pragma once

#include <QProcess>
#include <QtTest>

#ifndef Q_MOC_RUN
#include <nlohmann/json.hpp>

#include <string>

namespace qkov::test {

struct Outcome {
    int code = -1; ///< -1: crashed, or did not end in time
    QByteArray out;
    QByteArray err;
    nlohmann::json json() const { return nlohmann::json::parse(out.toStdString()); }
};

inline Outcome finish(QProcess& process, int timeoutMs = 120'000) {
    Outcome o;
    if (!process.waitForFinished(timeoutMs)) {
        process.kill();
        process.waitForFinished();
        return o;
    }
    o.code = process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1;
    o.out = process.readAllStandardOutput();
    o.err = process.readAllStandardError();
    return o;
}

inline Outcome run(const QStringList& arguments) {
    QProcess process;
    process.start(QStringLiteral(QKOV_PROGRAM), arguments);
    return finish(process);
}

/// Through a shell, for redirections and limits; $QKOV is the program.
inline Outcome shell(const QString& script) {
    QProcess process;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    environment.insert(QStringLiteral("QKOV"), QStringLiteral(QKOV_PROGRAM));
    process.setProcessEnvironment(environment);
    process.start(QStringLiteral("/bin/sh"), {QStringLiteral("-c"), script});
    return finish(process);
}

/// A failure as users meet it: the code, one line on stderr that says `words`, nothing on stdout.
inline bool failed(const Outcome& o, int code, const char* words) {
    const bool good = o.code == code && o.err.startsWith("qkov: ") && o.err.endsWith('\n') &&
                      o.err.count('\n') == 1 && o.err.contains(words) && o.out.isEmpty();
    if (!good) {
        qWarning() << "exit code" << o.code << "stderr" << o.err << "stdout" << o.out.left(300)
                   << "expected" << code << words;
    }
    return good;
}

inline QString demo(const char* name) {
    return QStringLiteral(QKOV_RESOURCES "/demo/") + QString::fromUtf8(name);
}

inline QString demoModel() {
    return QStringLiteral(QKOV_RESOURCES "/demo");
}

/// The demo's first samples, collected.
inline Outcome collectDemo(const QString& out, int samples, const QStringList& more = {}) {
    return run(QStringList{QStringLiteral("collect"), QStringLiteral("--model"), demoModel(),
                           QStringLiteral("--task"),
                           QStringLiteral("arithmetic=") + demo("arithmetic.jsonl"),
                           QStringLiteral("--task"), QStringLiteral("code=") + demo("code.jsonl"),
                           QStringLiteral("--max-samples"), QString::number(samples),
                           QStringLiteral("--out"), out} +
               more);
}

} // namespace qkov::test
#endif
