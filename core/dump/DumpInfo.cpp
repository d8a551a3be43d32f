// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpInfo.h"

#include <algorithm>

namespace qkov::dump {

std::int64_t TaskInfo::sampleIndex(const std::string& id) const {
    const auto it =
        std::find_if(samples.begin(), samples.end(), [&](const auto& s) { return s.id == id; });
    return it == samples.end() ? -1 : it - samples.begin();
}

const TaskInfo* DumpInfo::task(const std::string& name) const {
    const auto it =
        std::find_if(tasks.begin(), tasks.end(), [&](const auto& t) { return t.name == name; });
    return it == tasks.end() ? nullptr : &*it;
}

} // namespace qkov::dump
