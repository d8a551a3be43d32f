// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace qkov::ui {

/// 0xRRGGBB, indexed by ColorMap::Id, then by 0..255 from low to high.
extern const std::uint32_t colorMapTables[6][256];

} // namespace qkov::ui
