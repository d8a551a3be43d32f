// SPDX-License-Identifier: GPL-3.0-or-later
// BLOOM, Falcon, MPT: the families with linear biases.
#include "collect/SpecParts.h"

namespace qkov::collect {
namespace {

/// BLOOM and Falcon: the same block names.
void bloomNames(DecoderSpec& s, bool bias) {
    const std::string layer = "transformer.h.{l}.";
    s.embedding = "transformer.word_embeddings.weight";
    s.finalNorm = {"transformer.ln_f", true};
    s.norm1 = {layer + "input_layernorm", true};
    s.norm2 = {layer + "post_attention_layernorm", true};
    s.qkvOrder = QkvOrder::perHead;
    s.qkv = {layer + "self_attention.query_key_value", bias};
    s.o = {layer + "self_attention.dense", bias};
    s.up = {layer + "mlp.dense_h_to_4h", bias};
    s.down = {layer + "mlp.dense_4h_to_h", bias};
}

} // namespace

void bloom(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    bloomNames(s, true);
    s.mlpDim = 4 * s.hidden;
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.embeddingNorm = {"transformer.word_embeddings_layernorm", true};
    s.positions = PositionKind::alibi;
    s.alibi = AlibiKind::bloom;
    s.residualFromNorm = c.flag("apply_residual_connection_post_layernorm", false);
    s.activation = Activation::geluTanh;
    setHead(s, source, "lm_head.weight", true);
}

void falcon(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const bool grouped = c.flag("new_decoder_architecture", false);
    const bool parallel = c.flag("parallel_attn", true);
    bloomNames(s, c.flag("bias", false));
    s.maxPositions = c.size({"max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"ffn_hidden_size"}, 4 * s.hidden);
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.activation = activation(c, {"activation"}, "gelu");
    s.qkvOrder = grouped                       ? QkvOrder::perKvGroup
                 : c.flag("multi_query", true) ? QkvOrder::concatenated
                                               : QkvOrder::perHead;
    if (parallel) {
        s.residual = ResidualKind::parallel;
        const std::int64_t norms = c.size({"num_ln_in_parallel_attn"}, grouped ? 2 : 1);
        s.norm2 = {};
        if (grouped && norms == 2) {
            s.norm1 = {"transformer.h.{l}.ln_attn", true};
            s.norm2 = {"transformer.h.{l}.ln_mlp", true};
        }
    } else if (grouped) {
        c.fail("parallel_attn", "is false with new_decoder_architecture, which is not covered");
    }
    if (c.flag("alibi", false)) {
        s.positions = PositionKind::alibi;
        s.alibi = AlibiKind::falcon;
        s.maxPositions = 0;
    } else {
        setRotary(s, c, s.headDim, c.number({"rope_theta"}, 10000.0));
    }
    setHead(s, source, "lm_head.weight", true);
}

void mpt(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const ConfigReader a = c.inside("attn_config");
    const std::string layer = "transformer.blocks.{l}.";
    for (const char* key : {"qk_ln", "prefix_lm", "attn_uses_sequence_id"}) {
        if (a.flag(key, false)) {
            a.fail(key, "is true, which is not covered");
        }
    }
    if (!a.flag("alibi", true)) {
        a.fail("alibi", "is false, which is not covered");
    }
    if (a.text({"attn_type"}, "multihead_attention") != "multihead_attention") {
        a.fail("attn_type", "is not multihead_attention, which alone is covered");
    }
    if (c.has("logit_scale")) {
        c.fail("logit_scale", "is set, which is not covered");
    }
    if (c.text({"norm_type"}, "low_precision_layernorm").find("layernorm") == std::string::npos) {
        c.fail("norm_type", "is not a layernorm, which alone is covered");
    }
    const ConfigReader ffn = c.inside("ffn_config");
    if (ffn.text({"ffn_type"}, "mptmlp") != "mptmlp") {
        ffn.fail("ffn_type", "is not mptmlp, which alone is covered");
    }
    if (!c.flag("no_bias", true)) {
        c.fail("no_bias", "is false, which is not covered");
    }
    s.maxPositions = c.size({"max_seq_len"}, 2048);
    s.mlpDim = 4 * s.hidden; // expansion_ratio is fixed in the published code
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.embedding = "transformer.wte.weight";
    s.positions = PositionKind::alibi;
    s.alibi = AlibiKind::mpt; // with 8 as the largest exponent: transformers ignores alibi_bias_max
    s.norm1 = {layer + "norm_1"};
    s.norm2 = {layer + "norm_2"};
    s.finalNorm = {"transformer.norm_f"};
    s.qkvOrder = QkvOrder::concatenated;
    s.qkv = {layer + "attn.Wqkv"};
    s.o = {layer + "attn.out_proj"};
    s.clipQkv = a.number({"clip_qkv"}, 0);
    s.attentionScale = a.number({"softmax_scale"}, s.attentionScale);
    s.activation = Activation::gelu;
    s.up = {layer + "ffn.up_proj"};
    s.down = {layer + "ffn.down_proj"};
    setHead(s, source, "lm_head.weight", true);
}

} // namespace qkov::collect
