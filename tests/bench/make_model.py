#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checkpoint of a real model's shape with random weights, and two task files.

    make_model.py gpt2|llama FOLDER [--samples 100] [--tokens 64] [--layers N] [--hidden D]

Writes FOLDER/model.safetensors, FOLDER/config.json, FOLDER/a.jsonl and FOLDER/b.jsonl. Needs
numpy. `llama` is a 7B: 32 layers, hidden size 4096, 32 heads, 8 kv heads, bfloat16.
"""
import argparse
import json
import os

import numpy as np


def gpt2(layers, d):
    config = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": d, "n_layer": layers,
              "n_head": d // 64, "n_positions": 1024, "activation_function": "gelu_new"}
    tensors = [("wte.weight", (50257, d), 0.02), ("wpe.weight", (1024, d), 0.01)]
    for l in range(layers):
        h = f"h.{l}."
        tensors += [(h + "ln_1.weight", (d,), 1), (h + "ln_1.bias", (d,), 0),
                    (h + "attn.c_attn.weight", (d, 3 * d), 0.02), (h + "attn.c_attn.bias", (3 * d,), 0),
                    (h + "attn.c_proj.weight", (d, d), 0.02), (h + "attn.c_proj.bias", (d,), 0),
                    (h + "ln_2.weight", (d,), 1), (h + "ln_2.bias", (d,), 0),
                    (h + "mlp.c_fc.weight", (d, 4 * d), 0.02), (h + "mlp.c_fc.bias", (4 * d,), 0),
                    (h + "mlp.c_proj.weight", (4 * d, d), 0.02), (h + "mlp.c_proj.bias", (d,), 0)]
    tensors += [("ln_f.weight", (d,), 1), ("ln_f.bias", (d,), 0)]
    return config, tensors, "F16"


def llama(layers, d):
    heads, kv, f, v = d // 128, max(1, d // 512), d * 7 // 2, 32000
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": v,
              "hidden_size": d, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv, "intermediate_size": f, "max_position_embeddings": 4096,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
              "tie_word_embeddings": False}
    tensors = [("model.embed_tokens.weight", (v, d), 0.02)]
    for l in range(layers):
        p = f"model.layers.{l}."
        tensors += [(p + "input_layernorm.weight", (d,), 1),
                    (p + "self_attn.q_proj.weight", (d, d), 0.02),
                    (p + "self_attn.k_proj.weight", (kv * 128, d), 0.02),
                    (p + "self_attn.v_proj.weight", (kv * 128, d), 0.02),
                    (p + "self_attn.o_proj.weight", (d, d), 0.02),
                    (p + "post_attention_layernorm.weight", (d,), 1),
                    (p + "mlp.gate_proj.weight", (f, d), 0.02),
                    (p + "mlp.up_proj.weight", (f, d), 0.02),
                    (p + "mlp.down_proj.weight", (d, f), 0.02)]
    tensors += [("model.norm.weight", (d,), 1), ("lm_head.weight", (v, d), 0.02)]
    return config, tensors, "BF16"


def encode(values, dtype):
    if dtype == "F16":
        return values.astype(np.float16).tobytes()
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) >> 16).astype(np.uint16).tobytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["gpt2", "llama"])
    parser.add_argument("folder")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--hidden", type=int)
    o = parser.parse_args()
    if o.kind == "gpt2":
        config, tensors, dtype = gpt2(o.layers or 12, o.hidden or 768)
    else:
        config, tensors, dtype = llama(o.layers or 32, o.hidden or 4096)
    os.makedirs(o.folder, exist_ok=True)
    with open(os.path.join(o.folder, "config.json"), "w") as out:
        json.dump(config, out)
    header, at = {}, 0
    for name, shape, _ in tensors:
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    random = np.random.default_rng(1)
    # Drawing billions of normal numbers takes minutes: cut from one block of them, anywhere.
    block = random.standard_normal(1 << 24, dtype=np.float32)
    scaled = {}
    with open(os.path.join(o.folder, "model.safetensors"), "wb") as out:
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for name, shape, scale in tensors:
            n = int(np.prod(shape))
            if len(shape) == 1:
                out.write(encode(np.full(n, scale, np.float32), dtype))
                continue
            if scale not in scaled:
                scaled[scale] = encode(block * np.float32(scale), dtype)
            while n > 0:
                start = int(random.integers(0, 1 << 20))
                count = min(n, (1 << 24) - start)
                out.write(memoryview(scaled[scale])[2 * start:2 * (start + count)])
                n -= count
    for task in "ab":
        with open(os.path.join(o.folder, task + ".jsonl"), "w") as out:
            for i in range(o.samples):
                ids = random.integers(0, config["vocab_size"], o.tokens).tolist()
                out.write(json.dumps({"id": f"{task}{i}", "input_ids": ids}) + "\n")


if __name__ == "__main__":
    main()
