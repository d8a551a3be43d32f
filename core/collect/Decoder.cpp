// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Decoder.h"

#include <cmath>
#include <limits>
#include <torch/version.h>

// scaled_dot_product_attention with a scale
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
#define QKOV_FUSED_ATTENTION 1
#else
#define QKOV_FUSED_ATTENTION 0
#endif

namespace qkov::collect {
namespace {

// GELU(x) ≈ x·σ(1.702 x)
constexpr double quickGeluSlope = 1.702;

at::Tensor rms(const at::Tensor& x, double epsilon) {
    return x * at::rsqrt(at::mean(x * x, -1, true) + epsilon);
}

} // namespace

at::Tensor Decoder::normalise(const Norm& norm, const at::Tensor& x) const {
    if (!norm) {
        return x;
    }
    switch (m_spec.norm) {
    case NormKind::rmsNorm:
        return rms(x, m_spec.normEpsilon) * norm.weight;
    case NormKind::rmsNormPlusOne:
        return rms(x, m_spec.normEpsilon) * (norm.weight + 1);
    case NormKind::layerNorm:
        break;
    }
    return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, m_spec.normEpsilon);
}

at::Tensor Decoder::activate(const at::Tensor& x) const {
    switch (m_spec.activation) {
    case Activation::gelu:
        return at::gelu(x);
    case Activation::geluTanh:
        return at::gelu(x, "tanh");
    case Activation::quickGelu:
        return x * at::sigmoid(x * quickGeluSlope);
    case Activation::relu:
        return at::relu(x);
    case Activation::silu:
        break;
    }
    return at::silu(x);
}

at::Tensor Decoder::rotate(const at::Tensor& x, const Context& context) const {
    const std::int64_t dim = m_spec.rotary.dim;
    const at::Tensor& c = context.cosine;
    const at::Tensor& s = context.sine;
    at::Tensor a, b;
    if (m_spec.rotary.interleaved) {
        a = x.slice(-1, 0, dim, 2);
        b = x.slice(-1, 1, dim, 2);
    } else {
        a = x.slice(-1, 0, dim / 2);
        b = x.slice(-1, dim / 2, dim);
    }
    const at::Tensor first = a * c - b * s;
    const at::Tensor second = b * c + a * s;
    at::Tensor rotated = m_spec.rotary.interleaved ? at::stack({first, second}, -1).flatten(-2)
                                                   : at::cat({first, second}, -1);
    if (dim == x.size(-1)) {
        return rotated;
    }
    return at::cat({rotated, x.slice(-1, dim)}, -1);
}

at::Tensor Decoder::attention(std::int64_t index, const at::Tensor& x, const Context& context,
                              const Observers& observers) const {
    const Layer& layer = m_layers[static_cast<std::size_t>(index)];
    const std::int64_t B = context.batch, T = context.tokens;
    const std::int64_t H = m_spec.heads, G = m_spec.kvHeads, d = m_spec.headDim;
    const std::int64_t perKv = m_spec.queriesPerKv();

    const auto project = [&](Slot slot, const Linear& linear, const at::Tensor& input) {
        at::Tensor y = linear(input);
        if (observers.projection) {
            if (c10::GradMode::is_enabled() && !y.requires_grad()) {
                y.requires_grad_(true);
            }
            observers.projection(index, slot, linear, input, y);
        }
        return y;
    };
    const auto clip = [&](const at::Tensor& y) {
        return m_spec.clipQkv > 0 ? at::clamp(y, -m_spec.clipQkv, m_spec.clipQkv) : y;
    };

    // All [B, T, heads, d].
    at::Tensor q, k, v;
    if (m_spec.qkvOrder == QkvOrder::separate) {
        q = clip(project(Slot::q, layer.q, x)).view({B, T, H, d});
        k = clip(project(Slot::k, layer.k, x)).view({B, T, G, d});
        v = clip(project(Slot::v, layer.v, x)).view({B, T, G, d});
    } else {
        const at::Tensor fused = clip(project(Slot::qkv, layer.qkv, x));
        if (m_spec.qkvOrder == QkvOrder::concatenated) {
            // One operation: the gradients of three slices would be padded with zeros and added.
            const auto parts = at::split_with_sizes(fused, {H * d, G * d, G * d}, -1);
            q = parts[0].reshape({B, T, H, d});
            k = parts[1].reshape({B, T, G, d});
            v = parts[2].reshape({B, T, G, d});
        } else if (m_spec.qkvOrder == QkvOrder::perHead) {
            const at::Tensor parts = fused.view({B, T, H, 3, d});
            q = parts.select(3, 0);
            k = parts.select(3, 1);
            v = parts.select(3, 2);
        } else {
            const at::Tensor parts = fused.view({B, T, G, perKv + 2, d});
            q = parts.slice(3, 0, perKv).reshape({B, T, H, d});
            k = parts.select(3, perKv);
            v = parts.select(3, perKv + 1);
        }
    }
    if (layer.queryNorm) {
        q = normalise(layer.queryNorm, q);
        k = normalise(layer.keyNorm, k);
    }
    if (m_spec.positions == PositionKind::rotary) {
        q = rotate(q, context);
        k = rotate(k, context);
    }

    // The query heads that share a kv head are stacked along the query axis, so that one product
    // serves them and K, V are never repeated.
    double scale = m_spec.attentionScale;
    if (m_spec.scaleByLayer) {
        scale /= static_cast<double>(index + 1);
    }
    const std::int64_t window =
        m_spec.windows.empty() ? 0 : m_spec.windows[static_cast<std::size_t>(index)];
    const bool limited = window > 0 && window < T;
#if QKOV_FUSED_ATTENTION
    // On a GPU in one kernel (float32 throughout), where nobody looks at the weights and they are
    // nothing but causal.
    if (m_device.is_cuda() && m_compute == at::kFloat && !observers.pattern && !limited &&
        m_spec.attentionSoftcap <= 0 && !context.alibi.defined()) {
        const auto perQuery = [&](const at::Tensor& t) {
            return perKv == 1 ? t.transpose(1, 2)
                              : t.transpose(1, 2)
                                    .unsqueeze(2)
                                    .expand({B, G, perKv, T, d})
                                    .reshape({B, H, T, d});
        };
        // The first position sees only itself, whatever its query: with a query of 0 its gradients
        // are exactly 0, as they are; the kernel alone would leave rounding errors. Nobody else
        // reads the queries, and no backward pass does, so they are changed where they are, unseen
        // by whoever records operations.
        const auto zeroFirst = [](const at::Tensor& t) {
            const c10::NoGradGuard noGrad;
            t.variable_data().select(1, 0).zero_();
        };
        zeroFirst(q);
        if (q.requires_grad()) {
            q.register_hook([zeroFirst](const at::Tensor& gradient) { zeroFirst(gradient); });
        }
        const at::Tensor fusedMix =
            at::scaled_dot_product_attention(q.transpose(1, 2), perQuery(k), perQuery(v), {}, 0.0,
                                             true, scale)
                .transpose(1, 2)
                .reshape({B, T, H * d});
        return project(Slot::o, layer.o, fusedMix);
    }
#endif
    q = (q * scale).transpose(1, 2).reshape({B, G, perKv * T, d});
    k = k.transpose(1, 2);
    v = v.transpose(1, 2);
    at::Tensor scores = at::matmul(q, k.transpose(-1, -2)).view({B, H, T, T});
    if (m_spec.attentionSoftcap > 0) {
        scores = at::tanh(scores / m_spec.attentionSoftcap) * m_spec.attentionSoftcap;
    }
    if (context.alibi.defined()) {
        scores = scores + context.alibi;
    }
    at::Tensor hidden = context.causal;
    if (limited) {
        hidden = hidden | at::ones_like(hidden).tril(-window);
    }
    scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const at::Tensor weights = at::softmax(scores, -1);
    if (observers.pattern) {
        observers.pattern(index, weights);
    }
    const at::Tensor mixed = at::matmul(weights.view({B, G, perKv * T, T}), v)
                                 .view({B, H, T, d})
                                 .transpose(1, 2)
                                 .reshape({B, T, H * d});
    return project(Slot::o, layer.o, mixed);
}

at::Tensor Decoder::feedForward(const Layer& layer, const at::Tensor& x) const {
    switch (m_spec.mlp) {
    case MlpKind::plain:
        return layer.down(activate(layer.up(x)));
    case MlpKind::gated:
        return layer.down(activate(layer.gate(x)) * layer.up(x));
    case MlpKind::fusedGated:
        break;
    }
    const at::Tensor both = layer.up(x);
    return layer.down(activate(both.slice(-1, 0, m_spec.mlpDim)) * both.slice(-1, m_spec.mlpDim));
}

at::Tensor Decoder::layer(std::int64_t index, const at::Tensor& hidden, const Context& context,
                          const Observers& observers) const {
    const Layer& layer = m_layers[static_cast<std::size_t>(index)];
    const auto poll = [&] {
        if (observers.poll) {
            observers.poll();
        }
    };
    poll();
    if (m_spec.residual == ResidualKind::postNorm) {
        const at::Tensor h =
            normalise(layer.norm1, hidden + attention(index, hidden, context, observers));
        poll();
        return normalise(layer.norm2, h + feedForward(layer, h));
    }
    const at::Tensor x = normalise(layer.norm1, hidden);
    at::Tensor a = attention(index, x, context, observers);
    poll();
    if (m_spec.residual == ResidualKind::parallel) {
        const at::Tensor y = layer.norm2 ? normalise(layer.norm2, hidden) : x;
        return hidden + a + feedForward(layer, y);
    }
    if (layer.postAttentionNorm) {
        a = normalise(layer.postAttentionNorm, a);
    }
    const at::Tensor h = (m_spec.residualFromNorm ? x : hidden) + a;
    const at::Tensor y = normalise(layer.norm2, h);
    at::Tensor m = feedForward(layer, y);
    if (layer.postMlpNorm) {
        m = normalise(layer.postMlpNorm, m);
    }
    return (m_spec.residualFromNorm ? y : h) + m;
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
    at::Tensor h = at::embedding(m_embedding, ids).to(m_compute);
    if (m_spec.embeddingScale != 1) {
        h = h * m_spec.embeddingScale;
    }
    if (m_projectIn) {
        h = m_projectIn(h);
    }
    if (m_spec.positions == PositionKind::learned) {
        h = h + m_positions.slice(0, m_spec.positionOffset, m_spec.positionOffset + ids.size(1));
    }
    return normalise(m_embeddingNorm, h);
}

at::Tensor Decoder::finish(const at::Tensor& hidden) const {
    const at::Tensor h = normalise(m_finalNorm, hidden);
    return m_projectOut ? m_projectOut(h) : h;
}

at::Tensor Decoder::rawLogits(const at::Tensor& rows) const {
    return m_head(rows);
}

at::Tensor Decoder::headBackward(at::Tensor gradient, const at::Tensor& rowFactors) const {
    const at::Tensor factors = rowFactors.unsqueeze(1);
    return m_head.half ? halfProduct(std::move(gradient), m_head.half, factors)
                       : at::matmul(gradient.mul_(factors), m_head.weight);
}

std::vector<at::Tensor> Decoder::weights() const {
    std::vector<at::Tensor> all{m_embedding, m_positions, m_head.bias};
    if (!m_head.weight.is_same(m_embedding)) {
        all.push_back(m_head.weight);
    }
    const auto add = [&](const auto& part) {
        all.push_back(part.weight);
        all.push_back(part.bias);
    };
    add(m_embeddingNorm);
    add(m_finalNorm);
    add(m_projectIn);
    add(m_projectOut);
    for (const Layer& l : m_layers) {
        for (const Norm* n :
             {&l.norm1, &l.norm2, &l.postAttentionNorm, &l.postMlpNorm, &l.queryNorm, &l.keyNorm}) {
            add(*n);
        }
        for (const Linear* p : {&l.qkv, &l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down}) {
            add(*p);
        }
    }
    std::erase_if(all, [](const at::Tensor& t) { return !t.defined(); });
    return all;
}

std::vector<std::pair<Slot, const Linear*>> Decoder::projections(std::int64_t index) const {
    const Layer& layer = m_layers[static_cast<std::size_t>(index)];
    if (m_spec.qkvOrder == QkvOrder::separate) {
        return {{Slot::q, &layer.q}, {Slot::k, &layer.k}, {Slot::v, &layer.v}, {Slot::o, &layer.o}};
    }
    return {{Slot::qkv, &layer.qkv}, {Slot::o, &layer.o}};
}

} // namespace qkov::collect
