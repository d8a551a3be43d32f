// SPDX-License-Identifier: GPL-3.0-or-later
// The look of the maps in a session file.
#pragma once

#include "pages/FourMaps.h"

#include <QJsonObject>

namespace qkov::ui {

QJsonObject toJson(const FourMaps::Look& look);
/// What is absent or not understood stays as in `base`.
FourMaps::Look lookFromJson(const QJsonObject& json, const FourMaps::Look& base = {});

} // namespace qkov::ui
