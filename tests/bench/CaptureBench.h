// SPDX-License-Identifier: GPL-3.0-or-later
// The models that bench_capture measures. Torch.
#pragma once

#include "collect/Decoder.h"
#include "model/Checkpoint.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::bench {

/// A folder with a GPT-2-small of random float16 weights.
std::filesystem::path makeModel(std::int64_t layers);
/// @param plain float32 weights alone, without the halves that fast products take
collect::Decoder openDecoder(const std::filesystem::path& folder,
                             const model::Checkpoint& checkpoint, at::ScalarType compute,
                             at::Device device, bool plain = false);
/// Prints how far gradients and head scores on the device are from float64 on the CPU, for models
/// with a samples.jsonl beside them.
void checkCapture(const std::vector<std::string>& folders, const std::string& device);

} // namespace qkov::bench
