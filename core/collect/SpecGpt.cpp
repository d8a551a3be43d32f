// SPDX-License-Identifier: GPL-3.0-or-later
// GPT-2 and its kin, and OPT.
#include "collect/SpecParts.h"

namespace qkov::collect {
namespace {

/// GPT-2, GPT-BigCode, GPT-Neo: learned positions, and the same names beside the projections'.
void gptNames(DecoderSpec& s, const SpecSource& source, bool inOut, const std::string& act) {
    const ConfigReader& c = source.config;
    const std::string layer = "transformer.h.{l}.";
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.embedding = "transformer.wte.weight";
    s.positions = PositionKind::learned;
    s.positionEmbedding = "transformer.wpe.weight";
    s.norm1 = {layer + "ln_1", true};
    s.norm2 = {layer + "ln_2", true};
    s.finalNorm = {"transformer.ln_f", true};
    s.activation = activation(c, {"activation_function"}, act);
    s.up = {layer + "mlp.c_fc", true, inOut};
    s.down = {layer + "mlp.c_proj", true, inOut};
    setHead(s, source, "lm_head.weight", true);
}

/// GPT-2 and GPT-BigCode: Conv1D in one and Linear in the other.
void gpt2Like(DecoderSpec& s, const SpecSource& source, bool inOut, const std::string& act) {
    const ConfigReader& c = source.config;
    gptNames(s, source, inOut, act);
    s.maxPositions = c.size({"n_positions", "max_position_embeddings", "n_ctx"}, 1024);
    s.mlpDim = c.size({"n_inner"}, 4 * s.hidden);
    s.qkvOrder = QkvOrder::concatenated;
    s.qkv = {"transformer.h.{l}.attn.c_attn", true, inOut};
    s.o = {"transformer.h.{l}.attn.c_proj", true, inOut};
    if (!c.flag("scale_attn_weights", true)) {
        s.attentionScale = 1;
    }
}

/// GPT-Neo's layers that see `window_size` positions.
void localLayers(DecoderSpec& s, const ConfigReader& c) {
    // attention_types [[["global", "local"], 12]]: each list repeated so many times.
    std::vector<std::string> kinds;
    if (c.has("attention_layers") && c.object()["attention_layers"].is_array()) {
        for (const auto& kind : c.object()["attention_layers"]) {
            kinds.push_back(kind.is_string() ? kind.get<std::string>() : "");
        }
    } else if (c.has("attention_types") && c.object()["attention_types"].is_array()) {
        for (const auto& item : c.object()["attention_types"]) {
            if (!item.is_array() || item.size() != 2 || !item[0].is_array() ||
                !item[1].is_number_integer()) {
                c.fail("attention_types", "is not a list of [[kinds], repeats]");
            }
            const auto repeats = item[1].get<std::int64_t>();
            for (std::int64_t i = 0;
                 i < repeats && static_cast<std::int64_t>(kinds.size()) <= s.layers; ++i) {
                for (const auto& kind : item[0]) {
                    kinds.push_back(kind.is_string() ? kind.get<std::string>() : "");
                }
            }
        }
    } else {
        c.fail("attention_types", "is missing");
    }
    if (static_cast<std::int64_t>(kinds.size()) != s.layers) {
        c.fail("attention_types", "describes " + std::to_string(kinds.size()) +
                                      " layers, the model has " + std::to_string(s.layers));
    }
    const std::int64_t window = c.size({"window_size"}, 256);
    for (const std::string& kind : kinds) {
        if (kind != "global" && kind != "local") {
            c.fail("attention_types", "names \"" + kind + "\"; global and local are covered");
        }
        s.windows.push_back(kind == "local" ? window : 0);
    }
}

} // namespace

void gpt2(DecoderSpec& s, const SpecSource& source) {
    gpt2Like(s, source, true, "gelu_new");
    s.scaleByLayer = source.config.flag("scale_attn_by_inverse_layer_idx", false);
}

void gptBigcode(DecoderSpec& s, const SpecSource& source) {
    gpt2Like(s, source, false, "gelu_pytorch_tanh");
    s.qkvOrder =
        source.config.flag("multi_query", true) ? QkvOrder::concatenated : QkvOrder::perHead;
}

void gptNeox(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const std::string layer = "gpt_neox.layers.{l}.";
    const bool bias = c.flag("attention_bias", true);
    s.maxPositions = c.size({"max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"intermediate_size"});
    s.normEpsilon = c.number({"layer_norm_eps"}, 1e-5);
    s.residual =
        c.flag("use_parallel_residual", true) ? ResidualKind::parallel : ResidualKind::sequential;
    s.embedding = "gpt_neox.embed_in.weight";
    s.norm1 = {layer + "input_layernorm", true};
    s.norm2 = {layer + "post_attention_layernorm", true};
    s.finalNorm = {"gpt_neox.final_layer_norm", true};
    s.qkvOrder = QkvOrder::perHead;
    s.qkv = {layer + "attention.query_key_value", bias};
    s.o = {layer + "attention.dense", bias};
    s.activation = activation(c, {"hidden_act"}, "gelu");
    s.up = {layer + "mlp.dense_h_to_4h", true};
    s.down = {layer + "mlp.dense_4h_to_h", true};
    const ConfigReader later = c.inside("rope_parameters");
    const double share = later.number({"partial_rotary_factor"},
                                      c.number({"rotary_pct", "partial_rotary_factor"}, 0.25));
    setRotary(s, c, static_cast<std::int64_t>(static_cast<double>(s.headDim) * share),
              c.number({"rotary_emb_base", "rope_theta"}, 10000.0));
    setHead(s, source, "embed_out.weight", false);
}

void gptj(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const std::string layer = "transformer.h.{l}.";
    s.maxPositions = c.size({"n_positions", "max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"n_inner"}, 4 * s.hidden);
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.residual = ResidualKind::parallel;
    s.embedding = "transformer.wte.weight";
    s.norm1 = {layer + "ln_1", true};
    s.finalNorm = {"transformer.ln_f", true};
    s.q = {layer + "attn.q_proj"};
    s.k = {layer + "attn.k_proj"};
    s.v = {layer + "attn.v_proj"};
    s.o = {layer + "attn.out_proj"};
    s.activation = activation(c, {"activation_function"}, "gelu_new");
    s.up = {layer + "mlp.fc_in", true};
    s.down = {layer + "mlp.fc_out", true};
    setRotary(s, c, c.size({"rotary_dim"}, c.object().contains("rotary_dim") ? s.headDim : 64),
              10000.0);
    s.rotary.interleaved = true;
    setHead(s, source, "lm_head.weight", false);
    s.headBias = "lm_head.bias";
}

void gptNeo(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const std::string attention = "transformer.h.{l}.attn.attention.";
    gptNames(s, source, false, "gelu_new");
    s.maxPositions = c.size({"max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"intermediate_size"}, 4 * s.hidden);
    s.q = {attention + "q_proj"};
    s.k = {attention + "k_proj"};
    s.v = {attention + "v_proj"};
    s.o = {attention + "out_proj", true};
    s.attentionScale = 1;
    localLayers(s, c);
}

void opt(DecoderSpec& s, const SpecSource& source) {
    const ConfigReader& c = source.config;
    const std::string layer = "model.decoder.layers.{l}.";
    const bool affine = c.flag("layer_norm_elementwise_affine", true);
    const bool bias = c.flag("enable_bias", true);
    const bool before = c.flag("do_layer_norm_before", true);
    s.maxPositions = c.size({"max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"ffn_dim"});
    s.embeddingDim = c.size({"word_embed_proj_dim"}, s.hidden);
    s.residual = before ? ResidualKind::sequential : ResidualKind::postNorm;
    s.embedding = "model.decoder.embed_tokens.weight";
    s.positions = PositionKind::learned;
    s.positionEmbedding = "model.decoder.embed_positions.weight";
    s.positionOffset = 2; // the first two rows are unused
    if (s.embeddingDim != s.hidden) {
        s.projectIn = {"model.decoder.project_in"};
        s.projectOut = {"model.decoder.project_out"};
    }
    s.norm1 = {layer + "self_attn_layer_norm", affine, affine};
    s.norm2 = {layer + "final_layer_norm", affine, affine};
    if (before && !c.flag("_remove_final_layer_norm", false)) {
        s.finalNorm = {"model.decoder.final_layer_norm", affine, affine};
    }
    s.q = {layer + "self_attn.q_proj", bias};
    s.k = {layer + "self_attn.k_proj", bias};
    s.v = {layer + "self_attn.v_proj", bias};
    s.o = {layer + "self_attn.out_proj", bias};
    s.activation = activation(c, {"activation_function"}, "relu");
    s.up = {layer + "fc1", bias};
    s.down = {layer + "fc2", bias};
    setHead(s, source, "lm_head.weight", true);
}

} // namespace qkov::collect
