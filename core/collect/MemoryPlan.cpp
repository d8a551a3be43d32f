// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/MemoryPlan.h"

#include "collect/HeadTypes.h"

#include <algorithm>
#include <cmath>

namespace qkov::collect {
namespace {

// What the allocator loses between arrays of different lives.
constexpr double memorySlack = 1.15;
constexpr double gpuSlack = 1.25; // its allocator keeps pieces of many sizes

/// A layer's arrays that live only while it runs, per token: the largest moment of the backward
/// pass, in the feed-forward part or in the attention.
double passingNumbers(const DecoderSpec& s, double tokens) {
    const double scores = 4 * double(s.heads) * tokens + 3 * double(s.qkvRows());
    return std::max(4 * double(s.mlpDim) + 2 * double(s.hidden), scores);
}

} // namespace

double activationNumbers(const DecoderSpec& s, double batch, double tokens) {
    const auto D = double(s.hidden);
    const auto H = double(s.heads);
    const double q = H * double(s.headDim);
    const auto qkv = double(s.qkvRows());
    // The weights need no gradient, so a matrix product keeps nothing but what is recorded.
    double perLayer = 4 * D + q + 2 * qkv; // hidden states, recorded inputs and output gradients
    perLayer += s.queryNorm ? qkv : 0;
    perLayer += s.clipQkv > 0 ? qkv : 0;
    perLayer += s.postAttentionNorm ? 2 * D : 0;
    perLayer += (s.attentionSoftcap > 0 ? 2 : 1) * H * tokens;
    perLayer += (s.mlp == MlpKind::plain ? 1 : 4) * double(s.mlpDim);
    perLayer += s.activation == Activation::quickGelu ? double(s.mlpDim) : 0;
    return batch * tokens * double(s.layers) * perLayer;
}

double batchBytes(const DecoderSpec& s, const CollectRequest& request, bool cuda, double batch,
                  double tokens, double payloadBytes) {
    const double number = request.computeDouble ? 8 : 4;
    const double logits =
        ((s.logitSoftcap > 0 ? 5 : 2) + (cuda ? 2 : 0)) *
        std::min(double(logitsAtOnce(cuda)), batch * tokens * double(s.vocabulary));
    const double passing = (cuda ? 2 : 1) * batch * tokens * passingNumbers(s, tokens); // halves
    const double running =
        number * (activationNumbers(s, batch, tokens) + std::max(logits, passing));
    // Behind the backward pass the recorded arrays stand beside their rounded copy.
    const double recorded = number * batch * tokens * double(s.layers) *
                            (2 * double(s.hidden) + double(s.heads * s.headDim + s.qkvRows()));
    return (cuda ? gpuSlack : memorySlack) * std::max(running, recorded + payloadBytes);
}

double headTypeBytes(const DecoderSpec& s, const CollectRequest& request, int threads) {
    const double number = request.computeDouble ? 8 : 4;
    const ProbeOptions probe;
    const double tokens = 2 * double(probe.half);
    const double patterns =
        double(probe.sequences) * double(s.heads) * tokens * tokens * number * 2;
    const double hidden = double(probe.sequences) * tokens * double(s.hidden) * number * 2;
    const double passing = 256 * passingNumbers(s, tokens) * number;
    // A group of heads in float64, twice.
    const double perHead = double(probe.sequences) * tokens * tokens;
    const double group = std::max(1.0, std::floor(double(patternNumbersAtOnce) / perHead));
    const double groups = std::min(double(threads), std::ceil(double(s.heads) / group));
    const double working = groups * group * perHead * 2 * sizeof(double);
    return memorySlack * (patterns + hidden + threads * passing + working);
}

} // namespace qkov::collect
