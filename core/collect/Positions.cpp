// SPDX-License-Identifier: GPL-3.0-or-later
// Rotations, masks and linear biases: what depends on positions only.
#include "collect/Decoder.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qkov::collect {
namespace {

/// Frequencies θ^(−2i/dim), i < dim/2, scaled as the spec says for a sample of `length` tokens.
at::Tensor inverseFrequencies(const RotarySpec& r, std::int64_t length, at::ScalarType type) {
    const double dim = static_cast<double>(r.dim);
    double theta = r.theta;
    if (r.scaling == RotaryScaling::dynamic && length > r.originalMaxPositions) {
        const double stretch =
            r.factor * static_cast<double>(length) / static_cast<double>(r.originalMaxPositions) -
            (r.factor - 1);
        theta *= std::pow(stretch, dim / (dim - 2));
    }
    const at::Tensor exponent = at::arange(0, r.dim, 2, at::TensorOptions(type)) / dim;
    const at::Tensor powers = at::pow(theta, exponent);
    const at::Tensor inverse = at::reciprocal(powers);
    switch (r.scaling) {
    case RotaryScaling::none:
    case RotaryScaling::dynamic:
        return inverse;
    case RotaryScaling::linear:
        return inverse / r.factor;
    case RotaryScaling::longrope: {
        const auto& f = length > r.originalMaxPositions ? r.longFactors : r.shortFactors;
        return at::reciprocal(at::tensor(f, at::TensorOptions(at::kDouble)).to(type) * powers);
    }
    case RotaryScaling::llama3: {
        const auto old = static_cast<double>(r.originalMaxPositions);
        const at::Tensor wavelength = 2 * std::numbers::pi / inverse;
        const at::Tensor smooth = (old / wavelength - r.lowFrequencyFactor) /
                                  (r.highFrequencyFactor - r.lowFrequencyFactor);
        const at::Tensor medium = (1 - smooth) * inverse / r.factor + smooth * inverse;
        const at::Tensor slow =
            at::where(wavelength > old / r.lowFrequencyFactor, inverse / r.factor, medium);
        return at::where(wavelength < old / r.highFrequencyFactor, inverse, slow);
    }
    case RotaryScaling::yarn:
        break;
    }
    const auto correction = [&](double rotations) {
        return dim *
               std::log(static_cast<double>(r.originalMaxPositions) /
                        (rotations * 2 * std::numbers::pi)) /
               (2 * std::log(r.theta));
    };
    const double low = std::max(std::floor(correction(r.betaFast)), 0.0);
    double high = std::min(std::ceil(correction(r.betaSlow)), dim - 1);
    if (low == high) {
        high += 0.001;
    }
    const at::Tensor ramp =
        at::clamp((at::arange(r.dim / 2, at::TensorOptions(type)) - low) / (high - low), 0, 1);
    return inverse / r.factor * ramp + inverse * (1 - ramp);
}

bool dependsOnLength(const RotarySpec& r) {
    return r.scaling == RotaryScaling::dynamic || r.scaling == RotaryScaling::longrope;
}

} // namespace

void Decoder::buildRotations(Context& context, const std::vector<std::int64_t>& lengths) const {
    const at::Tensor positions = at::arange(context.tokens, at::TensorOptions(m_compute));
    const auto angles = [&](std::int64_t length) {
        return at::outer(positions, inverseFrequencies(m_spec.rotary, length, m_compute));
    };
    std::vector<at::Tensor> rows;
    if (dependsOnLength(m_spec.rotary)) {
        for (const std::int64_t length : lengths) {
            rows.push_back(angles(length));
        }
    } else {
        rows.push_back(angles(context.tokens));
    }
    const at::Tensor all = at::stack(rows).unsqueeze(2); // [B or 1, T, 1, dim/2]
    context.cosine = (at::cos(all) * m_spec.rotary.attentionFactor).to(m_device);
    context.sine = (at::sin(all) * m_spec.rotary.attentionFactor).to(m_device);
}

at::Tensor Decoder::alibiSlopes() const {
    const std::int64_t H = m_spec.heads;
    std::int64_t power = 1;
    while (power * 2 <= H) {
        power *= 2;
    }
    std::vector<double> slopes;
    if (m_spec.alibi == AlibiKind::mpt) {
        // Slopes 2^(−8i/P) for the next power of two P ≥ H; for other H the odd ones first.
        const std::int64_t P = power == H ? H : power * 2;
        std::vector<double> all;
        for (std::int64_t i = 1; i <= P; ++i) {
            all.push_back(std::exp2(-8 * static_cast<double>(i) / static_cast<double>(P)));
        }
        if (P == H) {
            slopes = all;
        } else {
            for (std::size_t i = 1; i < all.size(); i += 2) {
                slopes.push_back(all[i]);
            }
            for (std::size_t i = 0; i < all.size(); i += 2) {
                slopes.push_back(all[i]);
            }
            slopes.resize(static_cast<std::size_t>(H));
        }
    } else {
        // Press et al.: 2^(−8i/P) for the largest power of two P ≤ H, then the odd steps of 2P.
        const auto P = static_cast<double>(power);
        for (std::int64_t i = 1; i <= power; ++i) {
            slopes.push_back(std::exp2(-8 * static_cast<double>(i) / P));
        }
        for (std::int64_t i = 0; i < H - power; ++i) {
            slopes.push_back(std::exp2(-4 * static_cast<double>(2 * i + 1) / P));
        }
    }
    return at::tensor(slopes, at::TensorOptions(at::kDouble));
}

Decoder::Context Decoder::context(const std::vector<std::int64_t>& lengths,
                                  std::int64_t tokens) const {
    Context c;
    c.batch = static_cast<std::int64_t>(lengths.size());
    c.tokens = tokens;
    c.causal = at::ones({tokens, tokens}, at::TensorOptions(at::kBool)).triu(1).to(m_device);
    if (m_spec.positions == PositionKind::rotary) {
        buildRotations(c, lengths);
    } else if (m_spec.positions == PositionKind::alibi) {
        const at::Tensor slopes = alibiSlopes().view({-1, 1, 1});
        const at::Tensor j = at::arange(tokens, at::TensorOptions(at::kDouble)).view({1, 1, -1});
        if (m_spec.alibi == AlibiKind::falcon) {
            // Falcon's published weights were trained with biases rounded to bfloat16.
            c.alibi = (slopes.to(at::kBFloat16) * j.to(at::kLong)).to(at::kDouble) *
                      m_spec.attentionScale;
        } else {
            c.alibi = slopes * j;
        }
        c.alibi = c.alibi.to(m_compute).to(m_device);
    }
    return c;
}

} // namespace qkov::collect
