// SPDX-License-Identifier: GPL-3.0-or-later
// Every architecture's attention matrices as the model itself splits them, written down apart from
// resources/architectures.json.
#pragma once

#include "model/HeadLayout.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace qkov::test {

using namespace qkov::model;

/// (block, head) along the head axis, one entry per row or column.
using Codes = std::vector<std::pair<Block, std::int64_t>>;

enum class Order { separate, concatenated, perHead, perGroup };

struct Row {
    const char* architecture;
    Order order;
    /// Name of Q/K/V/O's weight in layer %l; for fused orders Q, K and V are the same.
    std::array<std::string, 4> names;
    bool inOut = false;
    std::int64_t heads = 4, kv = 4, d = 3, dv = 3, hidden = 12;
    std::string config = "{}";
    std::string prefix = {}; ///< to be tried with and without
};

inline std::string at(std::string name, std::int64_t layer) {
    return name.replace(name.find("%l"), 2, std::to_string(layer));
}

inline void append(Codes& codes, Block b, std::int64_t head, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
        codes.emplace_back(b, head);
    }
}

/// How transformers splits the head axis of the matrix that holds `block`.
inline Codes codesOf(const Row& row, Block block) {
    Codes c;
    const std::array<std::int64_t, 4> size{row.d, row.d, row.dv, row.dv};
    const auto heads = [&](Block b) { return b == Block::K || b == Block::V ? row.kv : row.heads; };
    if (block == Block::O || row.order == Order::separate) {
        for (std::int64_t h = 0; h < heads(block); ++h) {
            append(c, block, h, size[blockIndex(block)]);
        }
    } else if (row.order == Order::concatenated) { // q, k, v = split(qkv)
        for (const Block b : {Block::Q, Block::K, Block::V}) {
            for (std::int64_t h = 0; h < heads(b); ++h) {
                append(c, b, h, size[blockIndex(b)]);
            }
        }
    } else if (row.order == Order::perHead) { // view(heads, 3, d)
        for (std::int64_t h = 0; h < row.heads; ++h) {
            for (const Block b : {Block::Q, Block::K, Block::V}) {
                append(c, b, h, size[blockIndex(b)]);
            }
        }
    } else { // view(kv heads, queries per kv head + 2, d)
        const std::int64_t g = row.heads / row.kv;
        for (std::int64_t k = 0; k < row.kv; ++k) {
            for (std::int64_t i = 0; i < g; ++i) {
                append(c, Block::Q, k * g + i, row.d);
            }
            append(c, Block::K, k, row.d);
            append(c, Block::V, k, row.dv);
        }
    }
    return c;
}

inline ModelShape shapeOf(const Row& row, std::int64_t layers) {
    ModelShape s;
    s.architecture = row.architecture;
    s.numLayers = layers;
    s.numHeads = row.heads;
    s.numKvHeads = row.kv;
    s.headDim = row.d;
    s.vHeadDim = row.dv;
    s.hiddenDim = row.hidden;
    s.configJson = row.config;
    return s;
}

inline std::array<std::string, 4> fused(const std::string& qkv, const std::string& o) {
    return {qkv, qkv, qkv, o};
}
std::array<std::string, 4> separate(const std::string& path, const char* q, const char* k,
                                    const char* v, const char* o) {
    return {path + q + ".weight", path + k + ".weight", path + v + ".weight", path + o + ".weight"};
}

inline std::vector<Row> rows() {
    const auto llama = [](const char* name, std::int64_t h, std::int64_t kv, std::int64_t d,
                          std::int64_t hidden) {
        Row r{name, Order::separate,
              separate("layers.%l.self_attn.", "q_proj", "k_proj", "v_proj", "o_proj")};
        r.heads = h;
        r.kv = kv;
        r.d = r.dv = d;
        r.hidden = hidden;
        r.prefix = "model.";
        return r;
    };
    std::vector<Row> all;
    Row gpt2{"gpt2", Order::concatenated,
             fused("h.%l.attn.c_attn.weight", "h.%l.attn.c_proj.weight")};
    gpt2.inOut = true;
    gpt2.prefix = "transformer.";
    all.push_back(gpt2);
    all.push_back(llama("llama", 6, 2, 4, 24));
    all.push_back(llama("mistral", 6, 3, 5, 16)); // d · H isn't the hidden size
    all.push_back(llama("mixtral", 6, 2, 4, 24));
    all.push_back(llama("qwen2", 4, 1, 3, 12));
    all.push_back(llama("qwen2_moe", 4, 4, 3, 12));
    all.push_back(llama("qwen3", 4, 2, 8, 20));
    all.push_back(llama("qwen3_moe", 6, 3, 8, 20));
    all.push_back(llama("gemma", 4, 1, 8, 12));
    all.push_back(llama("gemma2", 4, 2, 8, 12));
    all.push_back(llama("gemma3", 4, 2, 8, 12));
    all.back().prefix = "language_model.model.";
    all.push_back(llama("gemma3_text", 4, 2, 8, 12));
    Row phi{"phi3", Order::concatenated,
            fused("layers.%l.self_attn.qkv_proj.weight", "layers.%l.self_attn.o_proj.weight")};
    phi.heads = 6;
    phi.kv = 2;
    phi.hidden = 18;
    phi.prefix = "model.";
    all.push_back(phi);
    Row neox{
        "gpt_neox", Order::perHead,
        fused("layers.%l.attention.query_key_value.weight", "layers.%l.attention.dense.weight")};
    neox.prefix = "gpt_neox.";
    all.push_back(neox);
    Row bloom{
        "bloom", Order::perHead,
        fused("h.%l.self_attention.query_key_value.weight", "h.%l.self_attention.dense.weight")};
    bloom.prefix = "transformer.";
    all.push_back(bloom);
    Row falcon = bloom;
    falcon.architecture = "falcon";
    falcon.order = Order::perGroup;
    falcon.heads = 6;
    falcon.kv = 2;
    falcon.hidden = 18;
    all.push_back(falcon); // new_decoder_architecture
    falcon.order = Order::concatenated;
    falcon.kv = 1;
    all.push_back(falcon); // multi_query
    falcon.order = Order::perHead;
    falcon.kv = 6;
    all.push_back(falcon); // neither
    Row mpt{"mpt", Order::concatenated,
            fused("blocks.%l.attn.Wqkv.weight", "blocks.%l.attn.out_proj.weight")};
    mpt.prefix = "transformer.";
    all.push_back(mpt);
    Row bigcode{"gpt_bigcode", Order::concatenated,
                fused("h.%l.attn.c_attn.weight", "h.%l.attn.c_proj.weight")};
    bigcode.kv = 1;
    bigcode.prefix = "transformer.";
    all.push_back(bigcode); // multi_query
    bigcode.kv = 4;
    bigcode.order = Order::perHead;
    all.push_back(bigcode);
    Row opt{"opt", Order::separate,
            separate("decoder.layers.%l.self_attn.", "q_proj", "k_proj", "v_proj", "out_proj")};
    opt.prefix = "model.";
    all.push_back(opt);
    Row gptj{"gptj", Order::separate,
             separate("h.%l.attn.", "q_proj", "k_proj", "v_proj", "out_proj")};
    gptj.prefix = "transformer.";
    all.push_back(gptj);
    Row neo{"gpt_neo", Order::separate,
            separate("h.%l.attn.attention.", "q_proj", "k_proj", "v_proj", "out_proj")};
    neo.prefix = "transformer.";
    all.push_back(neo);
    Row intern{"internlm2", Order::perGroup,
               fused("layers.%l.attention.wqkv.weight", "layers.%l.attention.wo.weight")};
    intern.heads = 6;
    intern.kv = 3;
    intern.hidden = 18;
    intern.prefix = "model.";
    all.push_back(intern);
    Row bert{"bert", Order::separate,
             separate("encoder.layer.%l.attention.", "self.query", "self.key", "self.value",
                      "output.dense")};
    bert.prefix = "bert.";
    all.push_back(bert);
    // Values of another size than keys, in each order that can have them.
    for (Row wide : {llama("llama", 6, 2, 4, 24), phi, falcon, intern, bloom}) {
        wide.dv = 5;
        all.push_back(wide);
    }
    return all;
}

inline HeadLayout layoutOf(const Row& row, const std::string& prefix, bool withBias,
                           std::int64_t layers = 2) {
    std::vector<std::string> names;
    for (std::int64_t l = 0; l < layers; ++l) {
        for (const std::string& name : row.names) {
            std::string full = prefix + at(name, l);
            names.push_back(full);
            if (withBias) {
                names.push_back(full.replace(full.size() - 6, 6, "bias"));
            }
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return HeadLayout(shapeOf(row, layers), names);
}

} // namespace qkov::test
