// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/LayoutStore.h"

#include "base/AtomicFile.h"

#include <QCryptographicHash>
#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QStandardPaths>

namespace qkov::ui::layouts {

namespace {
QString placeOf(const QString& path) {
    const QFileInfo info(path);
    const QString real = info.canonicalFilePath().isEmpty()
                             ? QDir::cleanPath(info.absoluteFilePath())
                             : info.canonicalFilePath();
    const QByteArray key =
        QCryptographicHash::hash(real.toUtf8(), QCryptographicHash::Sha1).toHex().left(12);
    return QStandardPaths::writableLocation(QStandardPaths::AppLocalDataLocation) +
           QStringLiteral("/layouts/%1-%2.json")
               .arg(QFileInfo(real).completeBaseName(), QString::fromLatin1(key));
}
} // namespace

QString fileFor(const QString& path) {
    const QString file = placeOf(path);
    return QFileInfo::exists(file) ? file : QString();
}

QString textFor(const QString& path) {
    QFile file(placeOf(path));
    return file.size() < (64 << 20) && file.open(QIODevice::ReadOnly)
               ? QString::fromUtf8(file.readAll())
               : QString();
}

void remember(const QString& path, const QString& layoutJson) {
    const QString file = placeOf(path);
    QDir().mkpath(QFileInfo(file).path());
    writeTextFile(std::filesystem::path(file.toStdU16String()), layoutJson.toStdString());
}

void forget(const QString& path) {
    QFile::remove(placeOf(path));
}

} // namespace qkov::ui::layouts
