// SPDX-License-Identifier: GPL-3.0-or-later
// LLaMA and what is spelt like it.
#include "collect/SpecParts.h"

#include <cmath>

namespace qkov::collect {
namespace {

/// null: none. Absent: the class's own default.
std::int64_t unlessNull(const ConfigReader& config, const std::string& key,
                        std::int64_t otherwise) {
    return config.size({key}, config.object().contains(key) ? 0 : otherwise);
}

/// Names and shape of what is spelt like LLaMA.
void llamaLike(DecoderSpec& s, const SpecSource& source, bool qkvBias, bool oBias,
               const Keys& activationKeys = {"hidden_act"}, const std::string& act = "silu") {
    const ConfigReader& c = source.config;
    const std::string layer = "model.layers.{l}.";
    s.maxPositions = c.size({"max_position_embeddings"}, 0);
    s.mlpDim = c.size({"intermediate_size"});
    s.norm = NormKind::rmsNorm;
    s.normEpsilon = c.number({"rms_norm_eps"}, 1e-6);
    s.embedding = "model.embed_tokens.weight";
    s.norm1 = {layer + "input_layernorm"};
    s.norm2 = {layer + "post_attention_layernorm"};
    s.finalNorm = {"model.norm"};
    s.q = {layer + "self_attn.q_proj", qkvBias};
    s.k = {layer + "self_attn.k_proj", qkvBias};
    s.v = {layer + "self_attn.v_proj", qkvBias};
    s.o = {layer + "self_attn.o_proj", oBias};
    const bool mlpBias = c.flag("mlp_bias", false);
    s.mlp = MlpKind::gated;
    s.activation = activation(c, activationKeys, act);
    s.gate = {layer + "mlp.gate_proj", mlpBias};
    s.up = {layer + "mlp.up_proj", mlpBias};
    s.down = {layer + "mlp.down_proj", mlpBias};
    const double partial =
        c.inside("rope_parameters")
            .number({"partial_rotary_factor"}, c.number({"partial_rotary_factor"}, 1.0));
    setRotary(s, c, static_cast<std::int64_t>(static_cast<double>(s.headDim) * partial),
              c.number({"rope_theta"}, 10000.0));
}

void qwenWindows(DecoderSpec& s, const ConfigReader& c) {
    if (c.flag("use_sliding_window", false)) {
        const std::int64_t first =
            c.object().value("max_window_layers", std::int64_t(28)); // 0 is allowed
        setWindows(s, c, c.size({"sliding_window"}, 4096),
                   [first](std::int64_t l) { return l >= first; });
    }
}

} // namespace

void llama(DecoderSpec& s, const SpecSource& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias);
    setHead(s, source, "lm_head.weight", false);
}

void mistral(DecoderSpec& s, const SpecSource& source) {
    llamaLike(s, source, false, false);
    setWindows(s, source.config, unlessNull(source.config, "sliding_window", 4096),
               [](std::int64_t) { return true; });
    setHead(s, source, "lm_head.weight", false);
}

void qwen2(DecoderSpec& s, const SpecSource& source) {
    llamaLike(s, source, true, false);
    qwenWindows(s, source.config);
    setHead(s, source, "lm_head.weight", false);
}

void qwen3(DecoderSpec& s, const SpecSource& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias);
    s.queryNorm = {"model.layers.{l}.self_attn.q_norm"};
    s.keyNorm = {"model.layers.{l}.self_attn.k_norm"};
    qwenWindows(s, source.config);
    setHead(s, source, "lm_head.weight", false);
}

void gemma(DecoderSpec& s, const SpecSource& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias, {"hidden_activation"}, "gelu_pytorch_tanh");
    s.norm = NormKind::rmsNormPlusOne;
    s.embeddingScale = std::sqrt(static_cast<double>(s.hidden));
    setHead(s, source, "lm_head.weight", true);
}

void gemma2(DecoderSpec& s, const SpecSource& source) {
    gemma(s, source);
    const ConfigReader& c = source.config;
    s.postAttentionNorm = {"model.layers.{l}.post_attention_layernorm"};
    s.norm2 = {"model.layers.{l}.pre_feedforward_layernorm"};
    s.postMlpNorm = {"model.layers.{l}.post_feedforward_layernorm"};
    s.attentionScale = 1 / std::sqrt(c.number({"query_pre_attn_scalar"}));
    s.attentionSoftcap = c.object().contains("attn_logit_softcapping")
                             ? c.number({"attn_logit_softcapping"}, 0)
                             : 50;
    s.logitSoftcap = c.object().contains("final_logit_softcapping")
                         ? c.number({"final_logit_softcapping"}, 0)
                         : 30;
    setWindows(s, c, unlessNull(c, "sliding_window", 4096),
               [](std::int64_t l) { return l % 2 == 0; });
}

void phi3(DecoderSpec& s, const SpecSource& source) {
    s.rotary.originalMaxPositions = 4096;
    llamaLike(s, source, false, false);
    const std::string layer = "model.layers.{l}.";
    s.normEpsilon = source.config.number({"rms_norm_eps"}, 1e-5);
    s.q = s.k = s.v = s.gate = {};
    s.qkvOrder = QkvOrder::concatenated;
    s.qkv = {layer + "self_attn.qkv_proj"};
    s.mlp = MlpKind::fusedGated;
    s.up = {layer + "mlp.gate_up_proj"};
    setWindows(s, source.config, source.config.size({"sliding_window"}, 0),
               [](std::int64_t) { return true; });
    setHead(s, source, "lm_head.weight", false);
}

} // namespace qkov::collect
