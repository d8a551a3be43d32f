// SPDX-License-Identifier: GPL-3.0-or-later
// Scores of every head on a probe. Torch.
#pragma once

#include "base/Job.h"
#include "collect/Decoder.h"
#include "collect/HeadTypes.h"

namespace qkov::collect {

/// Types and scores of all heads; scores [L, H, 6], the column of "mixed" is 0. With a(i→j) the
/// attention weight, m half a sequence's length, averages over sequences and over the positions i
/// for which the target exists:
///   previous_token  a(i→i−1)
///   same_token      Σ_j a(i→j) over j ≤ i with the same token, i ≥ 1
///   induction       a(i→i−m+1), i in the second copy
///   positional      the largest of: a(i→i−o) for one o ≥ 2 other than m−1 and m; a(i→0), i ≥ 1
///   content         ½ Σ_j |a − a'|, i ≥ 1, over pairs of sequences of equal length (each with its
///                   next four, cyclically)
/// @param threads on a CPU, parts of a batch run side by side
/// @throws Cancelled
dump::HeadTypes computeHeadTypes(const Decoder& decoder, const Probe& probe, Job& job,
                                 int threads = 1, const HeadTypeRules& rules = {});

} // namespace qkov::collect
