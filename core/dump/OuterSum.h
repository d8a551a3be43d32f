// SPDX-License-Identifier: GPL-3.0-or-later
// Rebuilds gradients from their factors. Private to core/dump.
#pragma once

#include <cstdint>

namespace qkov::dump {

/// out[r, c] = Σ_t a[t, r] · b[t, c]; all row-major, a [tokens, rows], b [tokens, columns].
/// Vectorised for the CPU it runs on; accumulates in T.
void outerSum(const float* a, const float* b, std::int64_t tokens, std::int64_t rows,
              std::int64_t columns, float* out);
void outerSum(const double* a, const double* b, std::int64_t tokens, std::int64_t rows,
              std::int64_t columns, double* out);

} // namespace qkov::dump
