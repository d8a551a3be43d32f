// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectLibrary.h"

#include "collect/CollectRun.h"

extern "C" const qkov::collect::CollectLibrary* qkov_collect_library() {
    using namespace qkov::collect;
    static const CollectLibrary library{
        collectLibraryVersion, makePlan, runCollect, runCapture, measureRate,
    };
    return &library;
}
