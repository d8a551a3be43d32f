// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/window/RecentFiles.h"

#include <QFileInfo>
#include <QSettings>

namespace qkov::ui {

namespace {
const QString key = QStringLiteral("recent");
}

QStringList RecentFiles::list() {
    QStringList files = QSettings().value(key).toStringList();
    files.removeIf([](const QString& f) { return !QFileInfo::exists(f); });
    return files;
}

void RecentFiles::add(const QString& path) {
    QStringList files = QSettings().value(key).toStringList();
    files.removeAll(path);
    files.prepend(path);
    QSettings().setValue(key, files.mid(0, most));
}

void RecentFiles::clear() {
    QSettings().remove(key);
}

} // namespace qkov::ui
