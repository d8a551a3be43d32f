// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <QStringList>

namespace qkov::ui {

/// Whether a file can be written where the user says, judged before any work is done for it.
struct OutputFile {
    QString problem; ///< empty: it can
    QString note;    ///< worth saying: it replaces a file
};

/// @param bytes needed on its disk; 0: not known yet
/// @param inputs files and folders that are read: the output must be none of them
OutputFile checkOutput(const QString& file, double bytes, const QStringList& inputs);

} // namespace qkov::ui
