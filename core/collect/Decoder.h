// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a DecoderSpec: one implementation for all architectures. Torch.
#pragma once

#include "collect/DecoderSpec.h"
#include "collect/Products.h"
#include "model/Checkpoint.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <functional>
#include <string>
#include <vector>

namespace qkov::collect {

/// y = x Wᵀ + b with W [out, in] in memory (a transposed view where the file has [in, out]).
struct Linear {
    at::Tensor weight, bias; ///< bias undefined: none
    HalfWeight half;         ///< instead of `weight`, for products on tensor cores
    std::string parameter;   ///< the weight's name in the file
    std::string biasParameter;
    bool inOut = false;
    explicit operator bool() const { return weight.defined() || half; }
    std::int64_t in() const { return half ? half.high.size(1) : weight.size(1); }
    std::int64_t out() const { return half ? half.high.size(0) : weight.size(0); }
    at::Tensor operator()(const at::Tensor& x) const {
        return half ? halfLinear(x, half, bias) : at::linear(x, weight, bias);
    }
};

/// Which of a layer's recorded matrices.
enum class Slot : std::uint8_t { qkv, q, k, v, o };

/// Told of every attention projection as it happens. x [B, T, in], y [B, T, out]. While gradients
/// are recorded, those of every y are.
using ProjectionSink = std::function<void(std::int64_t layer, Slot slot, const Linear& linear,
                                          const at::Tensor& x, const at::Tensor& y)>;
/// Told of every layer's attention weights [B, H, T, T].
using PatternSink = std::function<void(std::int64_t layer, const at::Tensor& weights)>;

struct Observers {
    ProjectionSink projection;
    PatternSink pattern;
    std::function<void()> poll; ///< between steps; may throw
};

class Decoder;

struct DecoderLoading {
    std::function<void(double fraction)> poll; ///< called between tensors; may throw
    /// Called once with a decoder of the first layer alone, while the others are still to come; it
    /// shares its tensors.
    std::function<void(const Decoder&)> firstLayer;
    /// Weights as float32 as they are, also where tensor cores would serve: for whoever wants
    /// gradients of the weights.
    bool plainWeights = false;
};

class Decoder {
  public:
    /// Loads the weights in `compute` (float or double) onto `device`.
    /// @throws InputError a tensor is missing or has another shape than the config says (both
    /// named)
    Decoder(const DecoderSpec& spec, const model::Checkpoint& checkpoint, at::ScalarType compute,
            at::Device device, const DecoderLoading& loading = {});

    const DecoderSpec& spec() const { return m_spec; }
    at::Device device() const { return m_device; }
    at::ScalarType compute() const { return m_compute; }
    std::uint64_t weightBytes() const { return m_bytes; }

    /// What a batch shares between layers: masks and rotations. `lengths` are the samples' own
    /// (some rotary scalings depend on them), T the padded length.
    struct Context {
        std::int64_t batch = 0, tokens = 0;
        at::Tensor causal;       ///< bool [T, T], true = hidden from the query
        at::Tensor cosine, sine; ///< [B or 1, T, 1, rotary dim]
        at::Tensor alibi;        ///< [H, 1, T]
    };
    Context context(const std::vector<std::int64_t>& lengths, std::int64_t tokens) const;

    /// ids int64 [B, T] on the device → hidden states [B, T, D].
    at::Tensor embed(const at::Tensor& ids) const;
    at::Tensor layer(std::int64_t index, const at::Tensor& hidden, const Context& context,
                     const Observers& observers) const;
    /// Final norm and output projection, not yet the logits.
    at::Tensor finish(const at::Tensor& hidden) const;
    /// rows [R, D] → logits [R, V] before scale and soft cap.
    at::Tensor rawLogits(const at::Tensor& rows) const;
    /// Gradient of the logits [R, V], all within ±2, which is overwritten, times the rows' factors
    /// [R] → gradient of the rows [R, D].
    at::Tensor headBackward(at::Tensor gradient, const at::Tensor& rowFactors) const;

    /// Every weight, for whoever wants gradients of them (a plain training step, in benchmarks).
    std::vector<at::Tensor> weights() const;
    /// The recorded matrices of a layer in the order they are told.
    std::vector<std::pair<Slot, const Linear*>> projections(std::int64_t layer) const;

  private:
    struct Norm {
        at::Tensor weight, bias;
        explicit operator bool() const { return weight.defined(); }
    };
    struct Layer {
        Norm norm1, norm2, postAttentionNorm, postMlpNorm, queryNorm, keyNorm;
        Linear qkv, q, k, v, o, gate, up, down;
    };

    friend class WeightLoader;
    at::Tensor normalise(const Norm& norm, const at::Tensor& x) const;
    at::Tensor attention(std::int64_t index, const at::Tensor& x, const Context& context,
                         const Observers& observers) const;
    at::Tensor feedForward(const Layer& layer, const at::Tensor& x) const;
    at::Tensor rotate(const at::Tensor& x, const Context& context) const;
    at::Tensor activate(const at::Tensor& x) const;
    void buildRotations(Context& context, const std::vector<std::int64_t>& lengths) const;
    at::Tensor alibiSlopes() const;

    DecoderSpec m_spec;
    at::ScalarType m_compute;
    at::Device m_device;
    std::uint64_t m_bytes = 0;
    at::Tensor m_embedding; ///< in the compute type, or as stored
    at::Tensor m_positions;
    Linear m_head; ///< its weight may be the embedding
    Norm m_embeddingNorm, m_finalNorm;
    Linear m_projectIn, m_projectOut;
    std::vector<Layer> m_layers;
};

} // namespace qkov::collect
