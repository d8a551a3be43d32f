// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <functional>

namespace qkov {

/// Threads to use when the user says nothing: the cores this process may run on.
int defaultThreadCount();

/// Calls body(i, worker) for i in [0, count), worker in [0, threads), each i once, in any order.
/// The first exception stops the loop (no new i is started) and is rethrown here.
void parallelFor(std::size_t count, int threads,
                 const std::function<void(std::size_t index, int worker)>& body);

} // namespace qkov
