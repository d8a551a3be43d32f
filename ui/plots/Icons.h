// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/Palette.h"

#include <QIcon>
#include <QStringList>

namespace qkov::ui {

/// A stroke icon in the palette's text colour (muted when disabled), sharp at every size.
/// Names: open swap play cancel export folder file search copy sun moon model layers task fisher
/// warning error info check chevron pin settings pair table recent close. Unknown: a null icon.
QIcon icon(const QString& name, const Palette& palette);
/// The same in a given colour (warning, accent, text on accent).
QIcon icon(const QString& name, const QColor& color);
/// All names.
QStringList iconNames();

} // namespace qkov::ui
