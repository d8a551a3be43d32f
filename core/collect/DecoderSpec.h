// SPDX-License-Identifier: GPL-3.0-or-later
// A decoder-only transformer as data: everything that tells one architecture's forward pass from
// another's. Filled from config.json; run by Decoder. No Torch here.
#pragma once

#include "model/HeadLayout.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qkov::collect {

enum class NormKind : std::uint8_t {
    layerNorm,
    rmsNorm,        ///< w · x / rms(x)
    rmsNormPlusOne, ///< (1 + w) · x / rms(x) (Gemma)
};

enum class Activation : std::uint8_t { gelu, geluTanh, quickGelu, relu, silu };

enum class MlpKind : std::uint8_t {
    plain,      ///< down(act(up(x)))
    gated,      ///< down(act(gate(x)) · up(x))
    fusedGated, ///< one matrix whose rows are gate | up
};

enum class PositionKind : std::uint8_t { none, learned, rotary, alibi };

enum class RotaryScaling : std::uint8_t { none, linear, dynamic, llama3, longrope, yarn };

struct RotarySpec {
    std::int64_t dim = 0; ///< leading dims of each head that are rotated, even
    double theta = 10000;
    bool interleaved = false; ///< pairs (0,1), (2,3)… (GPT-J) instead of (0, dim/2), …
    RotaryScaling scaling = RotaryScaling::none;
    double factor = 1;
    double lowFrequencyFactor = 1, highFrequencyFactor = 4; ///< llama3
    double betaFast = 32, betaSlow = 1;                     ///< yarn
    std::int64_t originalMaxPositions = 0;
    std::vector<double> shortFactors, longFactors; ///< longrope, dim/2 each
    double attentionFactor = 1;                    ///< cos and sin are multiplied by it
};

enum class AlibiKind : std::uint8_t {
    bloom,  ///< score·scale + slope·j
    falcon, ///< (score + slope·j)·scale, slope·j rounded to bfloat16
    mpt,    ///< score·scale + slope·j, other slopes where H is no power of two
};

enum class QkvOrder : std::uint8_t {
    separate,     ///< three matrices
    concatenated, ///< Q | K | V
    perHead,      ///< [H, 3, d]
    perKvGroup,   ///< [G, H/G + 2, d]
};

enum class ResidualKind : std::uint8_t {
    sequential, ///< h += attention(norm1 h); h += mlp(norm2 h)
    parallel,   ///< h += attention(norm1 h) + mlp(norm2 h, or norm1 h where there is no norm2)
    postNorm,   ///< h = norm1(h + attention(h)); h = norm2(h + mlp(h))
};

/// One matrix of a layer (or of the model). "{l}" in the name stands for the layer. Empty: absent.
struct LinearSpec {
    std::string name; ///< without ".weight"
    bool bias = false;
    bool inOut = false; ///< stored [in, out] (Conv1D)
    explicit operator bool() const { return !name.empty(); }
};

struct NormSpec {
    std::string name; ///< without ".weight"; empty: no norm here
    bool bias = false;
    bool weight = true; ///< false: the norm has no parameters, the name is of none
    explicit operator bool() const { return !name.empty(); }
};

struct DecoderSpec {
    std::int64_t vocabulary = 0;
    std::int64_t hidden = 0;
    std::int64_t layers = 0;
    std::int64_t heads = 0;
    std::int64_t kvHeads = 0;
    std::int64_t headDim = 0;
    std::int64_t mlpDim = 0;
    std::int64_t embeddingDim = 0; ///< = hidden except for models with project_in
    std::int64_t maxPositions = 0; ///< 0: no limit

    std::string embedding; ///< full tensor name
    double embeddingScale = 1;
    NormSpec embeddingNorm;
    LinearSpec projectIn, projectOut;

    PositionKind positions = PositionKind::none;
    std::string positionEmbedding; ///< learned: full tensor name
    std::int64_t positionOffset = 0;
    RotarySpec rotary;
    AlibiKind alibi = AlibiKind::bloom;

    NormKind norm = NormKind::layerNorm;
    double normEpsilon = 1e-5;
    ResidualKind residual = ResidualKind::sequential;
    bool residualFromNorm = false; ///< the residual branch starts behind the norm (BLOOM's option)
    NormSpec norm1, norm2, postAttentionNorm, postMlpNorm, finalNorm;

    QkvOrder qkvOrder = QkvOrder::separate;
    LinearSpec qkv, q, k, v, o;
    NormSpec queryNorm, keyNorm; ///< RMS over a head's dims, weights shared by heads
    double clipQkv = 0;          ///< > 0: clamp projections to [-clip, clip]
    double attentionScale = 1;
    bool scaleByLayer = false;         ///< also divide by layer + 1 (GPT-2's option)
    double attentionSoftcap = 0;       ///< > 0: c·tanh(score/c)
    std::vector<std::int64_t> windows; ///< per layer; 0: all earlier positions, w: i − j < w

    MlpKind mlp = MlpKind::plain;
    Activation activation = Activation::gelu;
    LinearSpec gate, up, down; ///< plain: up, down; fusedGated: up holds gate | up

    std::string head; ///< full tensor name; may be the embedding's
    std::string headBias;
    double logitScale = 1;
    double logitSoftcap = 0;

    std::int64_t queriesPerKv() const { return heads / kvHeads; }
    std::int64_t qkvRows() const { return (heads + 2 * kvHeads) * headDim; }
    /// Multiply-adds of one token through all matrices, attention scores not included.
    double macsPerToken() const;
};

/// @param file config.json, named in errors
/// @param hasTensor whether the checkpoint has a tensor of that name (prefix optional); asked only
///        where the config doesn't say (a separate lm_head)
/// @throws InputError unknown architecture, a missing or impossible value (key named), an option
///         that changes the numbers and is not covered
DecoderSpec decoderSpec(const model::ModelShape& shape, const std::filesystem::path& file,
                        const std::vector<std::string>& tensorNames);

/// model_type values that decoderSpec accepts, sorted.
std::vector<std::string> collectableArchitectures();

} // namespace qkov::collect
