// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace qkov {

struct MachineMemory {
    std::int64_t available = 0; ///< bytes that can be taken without pushing others out
    std::int64_t total = 0;
};
/// Of the machine, or of the control group that this process is confined to. 0: not known.
MachineMemory machineMemory();

} // namespace qkov
