// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStringList>

namespace qkov::ui {

/// Files and model folders opened lately, newest first, kept in the application's settings.
class RecentFiles {
  public:
    static constexpr int most = 10;
    /// Only those that still exist.
    static QStringList list();
    static void add(const QString& path);
    static void clear();
};

} // namespace qkov::ui
