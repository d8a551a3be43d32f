// SPDX-License-Identifier: GPL-3.0-or-later
// Runs one folder of tests/data/collect and compares with its expected numbers. No Torch and no Qt
// here: the implementation includes the former, the tests the latter.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace qkov::test {

struct Difference {
    double worst = 0; ///< largest |value − reference| / largest |reference|, per sample and tensor
    std::string where; ///< of the worst
    int compared = 0;  ///< tensors
};

struct CaseResult {
    Difference losses, gradients, attentions;
    /// Parameters of the reference that were not captured, and the other way round.
    std::vector<std::string> unmatched;
};

/// All samples in one padded batch.
CaseResult compareWithReference(const std::filesystem::path& folder, bool computeDouble);
/// The same batch against one sample at a time, float64.
Difference batchedAgainstSingle(const std::filesystem::path& folder);
/// One padded batch with loss sum against loss mean × predicted tokens, float64.
Difference sumAgainstMean(const std::filesystem::path& folder);
/// Scores [L · H · 6] of the model in `folder` on the probe `file`, float64 or float32.
std::vector<float> headScores(const std::filesystem::path& folder,
                              const std::filesystem::path& file, bool computeDouble);
/// True if cancelling during forward (`inBackward` false) or backward throws Cancelled.
bool cancelStops(const std::filesystem::path& folder, bool inBackward);

/// Numbers that a DeviceStore holds (here in host memory) otherwise than packBatch() writes them,
/// the samples cut into two ragged batches; −1 if nothing was compared.
int storedOtherwise(const std::filesystem::path& folder, bool half);

} // namespace qkov::test
