// SPDX-License-Identifier: GPL-3.0-or-later
// A captured batch's factors rounded and laid out as stored, by our own kernels. Torch.
#pragma once

#include "collect/BatchCapture.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qkov::collect {

/// Where a sample's factors of a parameter go, on the device.
struct FactorPlace {
    std::byte *input = nullptr, *gradOutput = nullptr;
};

struct StoredFactors {
    at::Tensor largest; ///< float64 [2 · parameters, B]: inputs, output gradients; NaN stays NaN
    at::Tensor counts;  ///< int64 [2]: numbers that were not 0, and that are not when stored
    explicit operator bool() const { return largest.defined(); }
};

/// Own rows only; as float16 after balance(), else as float32.
/// @param lengths [B]
/// @param places of parameter p and sample b at p · B + b
/// @return nothing where there are no kernels for it, and nothing was done
StoredFactors storeFactors(const BatchCapture& capture, const std::vector<std::int64_t>& lengths,
                           const std::vector<FactorPlace>& places, bool half);

} // namespace qkov::collect
