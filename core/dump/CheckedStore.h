// SPDX-License-Identifier: GPL-3.0-or-later
// float32 to the stored type, counting what the type can't hold. Private to core/dump.
#pragma once

#include "dump/DumpWriter.h"

namespace qkov::dump {

/// Converts n numbers and adds to `loss`. Returns the index of the first finite number that
/// overflows the type, or n if none does. NaN and infinities are stored as they are.
std::size_t storeChecked(const float* source, std::size_t n, DType type, void* target,
                         StorageLoss& loss);

/// Largest finite |x|; 0 if there is none.
float largestFinite(const float* values, std::size_t n);

} // namespace qkov::dump
