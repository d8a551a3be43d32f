// SPDX-License-Identifier: GPL-3.0-or-later
// The entry points of libqkov_collect, found by name by whoever loads it.
#include "base/Error.h"

extern "C" __attribute__((visibility("default"))) int qkov_collect_abi() {
    return 1;
}
