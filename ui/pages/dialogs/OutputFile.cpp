// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/dialogs/OutputFile.h"

#include "base/Numbers.h"
#include "document/Words.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QStorageInfo>

namespace qkov::ui {

namespace {
QString tr(const char* text) {
    return QCoreApplication::translate("OutputFile", text);
}
} // namespace

OutputFile checkOutput(const QString& file, double bytes, const QStringList& inputs) {
    OutputFile result;
    if (file.trimmed().isEmpty()) {
        result.problem = tr("Choose where the dump is written.");
        return result;
    }
    const QFileInfo info(file);
    const QFileInfo folder(info.absolutePath());
    if (info.isDir()) {
        result.problem = tr("%1 is a folder; give the dump a file name.")
                             .arg(QDir::toNativeSeparators(info.absoluteFilePath()));
    } else if (!folder.isDir()) {
        result.problem = tr("The folder %1 does not exist.")
                             .arg(QDir::toNativeSeparators(folder.absoluteFilePath()));
    } else if (!folder.isWritable()) {
        result.problem = tr("The folder %1 can't be written to.")
                             .arg(QDir::toNativeSeparators(folder.absoluteFilePath()));
    }
    for (const QString& input : inputs) {
        if (info.exists() && !info.canonicalFilePath().isEmpty() &&
            QFileInfo(input).canonicalFilePath() == info.canonicalFilePath()) {
            result.problem = tr("%1 is one of the files that are read.").arg(info.fileName());
        }
    }
    if (!result.problem.isEmpty()) {
        return result;
    }
    const QStorageInfo disk(folder.absoluteFilePath());
    if (bytes > 0 && disk.isValid() && static_cast<double>(disk.bytesAvailable()) < bytes) {
        result.problem = tr("There are %1 free in %2, %3 are needed.")
                             .arg(quoted(formatBytes(static_cast<double>(disk.bytesAvailable()))),
                                  QDir::toNativeSeparators(folder.absoluteFilePath()),
                                  quoted(formatBytes(bytes)));
    } else if (info.exists()) {
        result.note = tr("%1 is there already and will be replaced.").arg(info.fileName());
    }
    return result;
}

} // namespace qkov::ui
