// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/Error.h"

#include <cuda_runtime_api.h>
#include <string>

namespace qkov::engine::cuda {

/// The device has no room for an allocation; the caller may try smaller tiles.
class OutOfDeviceMemory final : public Error {
  public:
    using Error::Error;
};

/// @throws OutOfDeviceMemory, Error naming what was tried and CUDA's own words
inline void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) {
        return;
    }
    const std::string text = std::string("CUDA: ") + what + ": " + cudaGetErrorString(status);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError(); // not sticky: clear it
        throw OutOfDeviceMemory(text);
    }
    throw Error(text);
}

} // namespace qkov::engine::cuda
