// SPDX-License-Identifier: GPL-3.0-or-later
// What a collection holds in memory, told before it runs. No Torch.
#pragma once

#include "collect/Collect.h"
#include "collect/DecoderSpec.h"

#include <cstdint>

namespace qkov::collect {

/// Resident whatever the model: the program, Torch and BLAS, two thirds of it their code. Measured
/// (188 MB at most with models of a few kB, on 1 to 8 threads), and a constant, so that the same
/// request is always cut into the same batches.
constexpr double programBytes = 195e6;

/// Logits held at once, in numbers: the head's rows are worked off in chunks of this size, so that
/// a large vocabulary costs little memory.
constexpr std::int64_t logitsAtOnce(bool cuda) {
    return std::int64_t(1) << (cuda ? 27 : 23);
}

/// Numbers of one parameter that are put into the dump at a time.
constexpr std::int64_t numbersWrittenAtOnce = std::int64_t(2) << 20;

/// Numbers of attention patterns that a thread tells head types from at a time, of one head at
/// least.
constexpr std::int64_t patternNumbersAtOnce = std::int64_t(1) << 18;

/// What a batch of B samples padded to T tokens keeps for its backward pass, recorded output
/// gradients included, in numbers of the compute type.
double activationNumbers(const DecoderSpec& spec, double batch, double tokens);

/// Bytes that a running batch of a decoder takes, without what is ready to be written.
/// @param payloadBytes of the batch as stored
double batchBytes(const DecoderSpec& spec, const CollectRequest& request, bool cuda, double batch,
                  double tokens, double payloadBytes);

/// Bytes that telling the heads' types takes, on so many threads.
double headTypeBytes(const DecoderSpec& spec, const CollectRequest& request, int threads);

} // namespace qkov::collect
