// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Job.h"

#include <string>

namespace qkov::engine {

/// A job for one of several computations: its whole progress moves the parent's running stage from
/// `begin` to `end` (fractions of that stage). Cancelled with the parent.
inline Job subJob(Job& parent, double begin, double end) {
    return Job(parent.token(), [&parent, begin, end](const Progress& p) {
        parent.advance(begin + (end - begin) * p.fraction);
    });
}

} // namespace qkov::engine
