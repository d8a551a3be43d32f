// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

#include <exception>

namespace qkov::ui {

/// What the message bar says: what happened, where, what to do.
struct Message {
    enum class Severity { none, info, warning, error };
    Severity severity = Severity::none;
    QString what;
    QString where;
    QString advice;
    QString action; ///< what a button beside it offers to do; empty: no button

    bool empty() const { return severity == Severity::none; }
    /// For "copy details": everything, with the program's version.
    QString details() const;
    static Message info(const QString& what, const QString& advice = {});
    static Message warning(const QString& what, const QString& advice = {});
    /// Of an exception from core.
    static Message of(std::exception_ptr error);
};

} // namespace qkov::ui
