// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Memory.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace qkov {
namespace {

/// A file with one number; −1: there is none.
std::int64_t numberIn(const char* file) {
    std::ifstream in(file);
    std::int64_t value = -1;
    return in >> value ? value : -1;
}

} // namespace

MachineMemory machineMemory() {
    MachineMemory memory;
    std::ifstream in("/proc/meminfo");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("MemAvailable:")) {
            memory.available = std::stoll(line.substr(13)) * 1024;
        } else if (line.starts_with("MemTotal:")) {
            memory.total = std::stoll(line.substr(9)) * 1024;
        }
    }
    const std::int64_t limit = numberIn("/sys/fs/cgroup/memory.max");
    const std::int64_t used = numberIn("/sys/fs/cgroup/memory.current");
    if (limit >= 0 && used >= 0) {
        memory.total = std::min(memory.total, limit);
        memory.available = std::min(memory.available, std::max<std::int64_t>(0, limit - used));
    }
    return memory;
}

} // namespace qkov
