// SPDX-License-Identifier: GPL-3.0-or-later
// The CUDA backend lives in a library of its own, loaded at first need.
#pragma once

#include "engine/Backend.h"

#include <cstdint>
#include <memory>

namespace qkov::engine {

/// True when the CUDA library is there and sees a device.
bool cudaUsable();

/// @param device CUDA's number of the device
/// @throws UsageError no CUDA library, no such device; says what to do
/// @throws Error the device is there but can't be used
std::unique_ptr<Backend> makeCudaBackend(int device, Precision precision);

/// Bytes of the device's memory, 0 where there is no such device.
void cudaMemory(int device, std::int64_t& available, std::int64_t& total);

} // namespace qkov::engine
