// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace qkov::bench {

/// One GPT-2-small layer through the backend from host memory, dense and factored: the time of each
/// operation. Prints a table.
void benchBackend();

/// The backend with all but `megabytes` of device memory taken by others. False when a result is
/// wrong or an operation fails.
bool checkLittleMemory(int megabytes);

} // namespace qkov::bench
