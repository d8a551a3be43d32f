// SPDX-License-Identifier: GPL-3.0-or-later
// Layouts that the user gave, kept by the model or dump they were given for, as layout files in the
// application's own folder: what was assigned once is not asked again.
#pragma once

#include <QString>

namespace qkov::ui::layouts {

/// The kept layout file of a model or dump; empty: none.
QString fileFor(const QString& path);
/// Its text; empty: none. Any thread.
QString textFor(const QString& path);
/// @throws qkov::InputError the folder can't be written
void remember(const QString& path, const QString& layoutJson);
void forget(const QString& path);

} // namespace qkov::ui::layouts
