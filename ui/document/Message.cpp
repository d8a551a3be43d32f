// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Message.h"

#include "base/Error.h"

#include <QCoreApplication>
#include <QSysInfo>

#include <new>

namespace qkov::ui {

namespace {
QString capitalised(QString s) {
    if (!s.isEmpty()) {
        s[0] = s[0].toUpper();
    }
    return s;
}

/// "demo.h5 does not exist", "demo.h5: the header claims …"; the full path stands elsewhere.
QString aboutFile(const QString& name, const QString& problem) {
    if (name.isEmpty()) {
        return capitalised(problem);
    }
    static const QStringList verbs{QStringLiteral("is"),    QStringLiteral("has"),
                                   QStringLiteral("does"),  QStringLiteral("can't"),
                                   QStringLiteral("holds"), QStringLiteral("needs"),
                                   QStringLiteral("lies"),  QStringLiteral("logs")};
    return verbs.contains(problem.section(QLatin1Char(' '), 0, 0))
               ? name + QLatin1Char(' ') + problem
               : name + QStringLiteral(": ") + problem;
}

} // namespace

QString Message::details() const {
    QStringList lines{what};
    if (!where.isEmpty()) {
        lines << where;
    }
    if (!advice.isEmpty()) {
        lines << advice;
    }
    lines << QStringLiteral("QKOV Studio " QKOV_VERSION ", Qt %1, %2")
                 .arg(QString::fromLatin1(qVersion()), QSysInfo::prettyProductName());
    return lines.join(QLatin1Char('\n'));
}

Message Message::info(const QString& what, const QString& advice) {
    return {Severity::info, what, {}, advice, {}};
}

Message Message::warning(const QString& what, const QString& advice) {
    return {Severity::warning, what, {}, advice, {}};
}

Message Message::of(std::exception_ptr error) {
    Message m;
    m.severity = Severity::error;
    try {
        std::rethrow_exception(std::move(error));
    } catch (const InputError& e) {
        m.what = aboutFile(QString::fromStdString(e.file().filename().string()),
                           QString::fromStdString(e.problem()));
        m.where = QString::fromStdString(e.file().string());
        if (!e.innerPath().empty()) {
            m.where += (m.where.isEmpty() ? QString() : QStringLiteral("  ›  ")) +
                       QString::fromStdString(e.innerPath());
        }
        m.advice = capitalised(QString::fromStdString(e.advice()));
    } catch (const std::bad_alloc&) {
        m.what = QCoreApplication::translate("Message", "There is not enough memory for this");
        m.advice = QCoreApplication::translate("Message", "Select fewer samples, layers or heads");
    } catch (const std::exception& e) {
        m.what = capitalised(QString::fromUtf8(e.what()));
    } catch (...) {
        m.what = QCoreApplication::translate("Message", "Something failed without saying what");
    }
    return m;
}

} // namespace qkov::ui
