// SPDX-License-Identifier: GPL-3.0-or-later
// One function per model family: config.json → DecoderSpec. Names, options and defaults are those
// of the public Hugging Face modeling sources.
#include "collect/DecoderSpec.h"

#include "base/Error.h"
#include "collect/ConfigReader.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace qkov::collect {
namespace {

using Keys = ConfigReader::Keys;

struct Source {
    const ConfigReader& config;
    const std::vector<std::string>& tensors;

    bool hasTensor(const std::string& name) const {
        return std::any_of(tensors.begin(), tensors.end(), [&](const std::string& t) {
            return t == name || (t.size() > name.size() && t.ends_with("." + name));
        });
    }
};

Activation activation(const ConfigReader& config, const Keys& keys, const std::string& otherwise) {
    static const std::map<std::string, Activation> known{
        {"gelu", Activation::gelu},
        {"gelu_python", Activation::gelu},
        {"gelu_new", Activation::geluTanh},
        {"gelu_fast", Activation::geluTanh},
        {"gelu_pytorch_tanh", Activation::geluTanh},
        {"gelu_accurate", Activation::geluTanh},
        {"quick_gelu", Activation::quickGelu},
        {"relu", Activation::relu},
        {"silu", Activation::silu},
        {"swish", Activation::silu},
    };
    const std::string name = config.text(keys, otherwise);
    const auto it = known.find(name);
    if (it == known.end()) {
        config.fail(keys.front(), "is \"" + name +
                                      "\"; the activations gelu, gelu_new, gelu_fast, "
                                      "gelu_pytorch_tanh, quick_gelu, relu and silu are covered");
    }
    return it->second;
}

/// The output matrix: the embedding's where they are tied.
void setHead(DecoderSpec& spec, const Source& source, const std::string& head, bool tiedByDefault) {
    const bool said = source.config.has("tie_word_embeddings");
    const bool tied = source.config.flag("tie_word_embeddings", tiedByDefault);
    spec.head = tied || (!said && !source.hasTensor(head)) ? spec.embedding : head;
}

/// Rotations, with the scaling of "rope_scaling" (or "rope_parameters", its later name).
void setRotary(DecoderSpec& spec, const ConfigReader& config, std::int64_t dim, double theta) {
    if (dim < 2 || dim % 2 != 0 || dim > spec.headDim) {
        config.fail("rotary dimension", "is " + std::to_string(dim) +
                                            ", expected an even number up to the head size " +
                                            std::to_string(spec.headDim));
    }
    spec.positions = PositionKind::rotary;
    RotarySpec& r = spec.rotary;
    r.dim = dim;
    r.theta = theta;
    const std::string key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const ConfigReader scaling = config.inside(key);
    r.theta = scaling.number({"rope_theta"}, r.theta);
    if (r.theta <= 0) {
        config.fail("rope_theta", "is not positive");
    }
    const std::string type = scaling.text({"rope_type", "type"}, "default");
    r.originalMaxPositions =
        scaling.size({"original_max_position_embeddings"},
                     config.size({"original_max_position_embeddings"},
                                 std::max<std::int64_t>(1, spec.maxPositions)));
    if (type == "default") {
        return;
    }
    const auto original = static_cast<double>(r.originalMaxPositions);
    const double stretched = static_cast<double>(spec.maxPositions) / original;
    // Phi-3's first configs call the same thing "su" or "yarn".
    if (type == "longrope" || type == "su" || scaling.has("short_factor")) {
        r.scaling = RotaryScaling::longrope;
        r.shortFactors = scaling.numbers("short_factor", static_cast<std::size_t>(dim / 2));
        r.longFactors = scaling.numbers("long_factor", static_cast<std::size_t>(dim / 2));
        const double factor = scaling.number({"factor"}, stretched);
        r.attentionFactor =
            scaling.number({"attention_factor"},
                           factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
        return;
    }
    r.factor = scaling.number({"factor"});
    if (r.factor <= 0) {
        scaling.fail("factor", "is not positive");
    }
    if (type == "linear") {
        r.scaling = RotaryScaling::linear;
    } else if (type == "dynamic") {
        r.scaling = RotaryScaling::dynamic;
        r.originalMaxPositions = std::max<std::int64_t>(1, spec.maxPositions);
        spec.maxPositions = static_cast<std::int64_t>(static_cast<double>(spec.maxPositions) *
                                                      std::max(1.0, r.factor));
    } else if (type == "llama3") {
        r.scaling = RotaryScaling::llama3;
        r.lowFrequencyFactor = scaling.number({"low_freq_factor"});
        r.highFrequencyFactor = scaling.number({"high_freq_factor"});
        if (r.lowFrequencyFactor <= 0 || r.highFrequencyFactor <= r.lowFrequencyFactor) {
            scaling.fail("high_freq_factor", "must be above low_freq_factor, and both positive");
        }
    } else if (type == "yarn") {
        r.scaling = RotaryScaling::yarn;
        r.betaFast = scaling.number({"beta_fast"}, 32);
        r.betaSlow = scaling.number({"beta_slow"}, 1);
        r.attentionFactor =
            scaling.number({"attention_factor"}, r.factor <= 1 ? 1 : 0.1 * std::log(r.factor) + 1);
    } else {
        scaling.fail("rope_type", "is \"" + type +
                                      "\"; default, linear, dynamic, llama3, longrope "
                                      "and yarn are covered");
    }
}

/// Sliding windows: "layer_types" where the config lists them, else `slides(layer)`.
template <class Slides>
void setWindows(DecoderSpec& spec, const ConfigReader& config, std::int64_t window, Slides slides) {
    if (window <= 0) {
        return;
    }
    spec.windows.assign(static_cast<std::size_t>(spec.layers), 0);
    const bool listed = config.has("layer_types");
    const auto& types = listed ? config.object()["layer_types"] : config.object();
    if (listed && (!types.is_array() || types.size() != spec.windows.size())) {
        config.fail("layer_types", "is not a list with one entry per layer");
    }
    for (std::int64_t l = 0; l < spec.layers; ++l) {
        const auto at = static_cast<std::size_t>(l);
        const bool slide = listed ? types[at] == "sliding_attention" : slides(l);
        spec.windows[at] = slide ? window : 0;
    }
}

/// Names and shape of what is spelt like LLaMA.
void llamaLike(DecoderSpec& s, const Source& source, bool qkvBias, bool oBias) {
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
    s.activation = activation(c, {"hidden_act"}, "silu");
    s.gate = {layer + "mlp.gate_proj", mlpBias};
    s.up = {layer + "mlp.up_proj", mlpBias};
    s.down = {layer + "mlp.down_proj", mlpBias};
    const double partial = c.number({"partial_rotary_factor"}, 1.0);
    setRotary(s, c, static_cast<std::int64_t>(static_cast<double>(s.headDim) * partial),
              c.number({"rope_theta"}, 10000.0));
}

void llama(DecoderSpec& s, const Source& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias);
    setHead(s, source, "lm_head.weight", false);
}

void mistral(DecoderSpec& s, const Source& source) {
    llamaLike(s, source, false, false);
    const std::int64_t window = source.config.object().contains("sliding_window")
                                    ? source.config.size({"sliding_window"}, 0)
                                    : 4096;
    setWindows(s, source.config, window, [](std::int64_t) { return true; });
    setHead(s, source, "lm_head.weight", false);
}

void qwenWindows(DecoderSpec& s, const ConfigReader& c) {
    if (c.flag("use_sliding_window", false)) {
        const std::int64_t first =
            c.object().value("max_window_layers", std::int64_t(28)); // 0 is allowed
        setWindows(s, c, c.size({"sliding_window"}, 4096),
                   [first](std::int64_t l) { return l >= first; });
    }
}

void qwen2(DecoderSpec& s, const Source& source) {
    llamaLike(s, source, true, false);
    qwenWindows(s, source.config);
    setHead(s, source, "lm_head.weight", false);
}

void qwen3(DecoderSpec& s, const Source& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias);
    s.queryNorm = {"model.layers.{l}.self_attn.q_norm"};
    s.keyNorm = {"model.layers.{l}.self_attn.k_norm"};
    qwenWindows(s, source.config);
    setHead(s, source, "lm_head.weight", false);
}

void gemma(DecoderSpec& s, const Source& source) {
    const bool bias = source.config.flag("attention_bias", false);
    llamaLike(s, source, bias, bias);
    s.norm = NormKind::rmsNormPlusOne;
    s.activation = activation(source.config, {"hidden_activation"}, "gelu_pytorch_tanh");
    s.embeddingScale = std::sqrt(static_cast<double>(s.hidden));
    setHead(s, source, "lm_head.weight", true);
}

void gemma2(DecoderSpec& s, const Source& source) {
    gemma(s, source);
    const ConfigReader& c = source.config;
    s.postAttentionNorm = {"model.layers.{l}.post_attention_layernorm"};
    s.norm2 = {"model.layers.{l}.pre_feedforward_layernorm"};
    s.postMlpNorm = {"model.layers.{l}.post_feedforward_layernorm"};
    s.attentionScale = 1 / std::sqrt(c.number({"query_pre_attn_scalar"}, 224));
    s.attentionSoftcap = c.number({"attn_logit_softcapping"}, 0);
    s.logitSoftcap = c.number({"final_logit_softcapping"}, 0);
    setWindows(s, c, c.size({"sliding_window"}, 0), [](std::int64_t l) { return l % 2 == 0; });
}

void phi3(DecoderSpec& s, const Source& source) {
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

/// GPT-2 and GPT-BigCode: the same names, Conv1D in one and Linear in the other.
void gpt2Like(DecoderSpec& s, const Source& source, bool inOut, const std::string& act) {
    const ConfigReader& c = source.config;
    const std::string layer = "transformer.h.{l}.";
    s.maxPositions = c.size({"n_positions", "max_position_embeddings", "n_ctx"}, 1024);
    s.mlpDim = c.size({"n_inner"}, 4 * s.hidden);
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.embedding = "transformer.wte.weight";
    s.positions = PositionKind::learned;
    s.positionEmbedding = "transformer.wpe.weight";
    s.norm1 = {layer + "ln_1", true};
    s.norm2 = {layer + "ln_2", true};
    s.finalNorm = {"transformer.ln_f", true};
    s.qkvOrder = QkvOrder::concatenated;
    s.qkv = {layer + "attn.c_attn", true, inOut};
    s.o = {layer + "attn.c_proj", true, inOut};
    s.activation = activation(c, {"activation_function"}, act);
    s.up = {layer + "mlp.c_fc", true, inOut};
    s.down = {layer + "mlp.c_proj", true, inOut};
    if (!c.flag("scale_attn_weights", true)) {
        s.attentionScale = 1;
    }
    setHead(s, source, "lm_head.weight", true);
}

void gpt2(DecoderSpec& s, const Source& source) {
    gpt2Like(s, source, true, "gelu_new");
    s.scaleByLayer = source.config.flag("scale_attn_by_inverse_layer_idx", false);
}

void gptBigcode(DecoderSpec& s, const Source& source) {
    gpt2Like(s, source, false, "gelu_pytorch_tanh");
    s.qkvOrder =
        source.config.flag("multi_query", true) ? QkvOrder::concatenated : QkvOrder::perHead;
}

void gptNeox(DecoderSpec& s, const Source& source) {
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

void gptj(DecoderSpec& s, const Source& source) {
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
    setRotary(s, c, c.size({"rotary_dim"}, s.headDim), 10000.0);
    s.rotary.interleaved = true;
    setHead(s, source, "lm_head.weight", false);
    s.headBias = "lm_head.bias";
}

void gptNeo(DecoderSpec& s, const Source& source) {
    const ConfigReader& c = source.config;
    const std::string layer = "transformer.h.{l}.";
    s.maxPositions = c.size({"max_position_embeddings"}, 2048);
    s.mlpDim = c.size({"intermediate_size"}, 4 * s.hidden);
    s.normEpsilon = c.number({"layer_norm_epsilon"}, 1e-5);
    s.embedding = "transformer.wte.weight";
    s.positions = PositionKind::learned;
    s.positionEmbedding = "transformer.wpe.weight";
    s.norm1 = {layer + "ln_1", true};
    s.norm2 = {layer + "ln_2", true};
    s.finalNorm = {"transformer.ln_f", true};
    s.q = {layer + "attn.attention.q_proj"};
    s.k = {layer + "attn.attention.k_proj"};
    s.v = {layer + "attn.attention.v_proj"};
    s.o = {layer + "attn.attention.out_proj", true};
    s.attentionScale = 1;
    s.activation = activation(c, {"activation_function"}, "gelu_new");
    s.up = {layer + "mlp.c_fc", true};
    s.down = {layer + "mlp.c_proj", true};

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
    setHead(s, source, "lm_head.weight", true);
}

void opt(DecoderSpec& s, const Source& source) {
    const ConfigReader& c = source.config;
    const std::string layer = "model.decoder.layers.{l}.";
    if (!c.flag("layer_norm_elementwise_affine", true)) {
        c.fail("layer_norm_elementwise_affine", "is false, which is not covered");
    }
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
    s.norm1 = {layer + "self_attn_layer_norm", true};
    s.norm2 = {layer + "final_layer_norm", true};
    if (before && !c.flag("_remove_final_layer_norm", false)) {
        s.finalNorm = {"model.decoder.final_layer_norm", true};
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

void bloom(DecoderSpec& s, const Source& source) {
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

void falcon(DecoderSpec& s, const Source& source) {
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

void mpt(DecoderSpec& s, const Source& source) {
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

using Fill = void (*)(DecoderSpec&, const Source&);
const std::map<std::string, Fill>& families() {
    static const std::map<std::string, Fill> table{
        {"bloom", bloom},    {"falcon", falcon},    {"gemma", gemma},
        {"gemma2", gemma2},  {"gpt2", gpt2},        {"gpt_bigcode", gptBigcode},
        {"gpt_neo", gptNeo}, {"gpt_neox", gptNeox}, {"gptj", gptj},
        {"llama", llama},    {"mistral", mistral},  {"mpt", mpt},
        {"opt", opt},        {"phi3", phi3},        {"qwen2", qwen2},
        {"qwen3", qwen3},
    };
    return table;
}

} // namespace

std::vector<std::string> collectableArchitectures() {
    std::vector<std::string> names;
    for (const auto& [name, fill] : families()) {
        names.push_back(name);
    }
    return names;
}

double DecoderSpec::macsPerToken() const {
    const auto D = static_cast<double>(hidden);
    const double attention = static_cast<double>(qkvRows()) * D +
                             D * static_cast<double>(heads) * static_cast<double>(headDim);
    const double perLayer =
        attention + (mlp == MlpKind::plain ? 2 : 3) * D * static_cast<double>(mlpDim);
    return static_cast<double>(layers) * perLayer +
           static_cast<double>(vocabulary) * static_cast<double>(embeddingDim);
}

DecoderSpec decoderSpec(const model::ModelShape& shape, const std::filesystem::path& file,
                        const std::vector<std::string>& tensorNames) {
    const auto family = families().find(shape.architecture);
    if (family == families().end()) {
        std::string known;
        for (const std::string& name : collectableArchitectures()) {
            known += (known.empty() ? "" : ", ") + name;
        }
        throw InputError(
            "gradients can't be collected from a model of type \"" + shape.architecture + "\"",
            file, "model_type",
            "covered: " + known + "; for others use the Python exporter or TorchScript");
    }
    const ConfigReader config(shape.configJson, file);
    DecoderSpec spec;
    spec.vocabulary = config.size({"vocab_size"});
    spec.hidden = shape.hiddenDim;
    spec.layers = shape.numLayers;
    spec.heads = shape.numHeads;
    spec.kvHeads = shape.numKvHeads;
    spec.headDim = shape.headDim;
    spec.embeddingDim = spec.hidden;
    spec.attentionScale = 1 / std::sqrt(static_cast<double>(spec.headDim));
    if (shape.vHeadDim != shape.headDim) {
        throw InputError("value heads of another size than query heads are not covered", file,
                         "v_head_dim");
    }
    family->second(spec, Source{config, tensorNames});
    if (spec.qkvOrder == QkvOrder::perHead && spec.kvHeads != spec.heads) {
        throw InputError("this architecture interleaves Q, K and V per head, but has " +
                             std::to_string(spec.kvHeads) + " kv heads for " +
                             std::to_string(spec.heads) + " heads",
                         file);
    }
    return spec;
}

} // namespace qkov::collect
