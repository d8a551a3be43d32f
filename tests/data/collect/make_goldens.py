#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small random checkpoints of every architecture, and float64 autograd's losses and per-sample
gradients of their attention weights, from transformers (4.46).

transformers rounds to float32 in the middle of a float64 model (softmax, RMS norm, rotations, the
loss); for a reference good to 1e-12 those casts are turned into casts to float64.

    python make_goldens.py [case ...]

Writes <case>/config.json, model.safetensors, samples.jsonl, expected.safetensors:
losses [n] (mean over predicted tokens) and "<parameter>" [n, *shape], all float64; attention
weights of the first sample as "attentions" [L, H, T, T].
"""
import json
import pathlib
import struct
import sys

import torch

REAL_FLOAT32 = torch.float32
torch.set_default_dtype(torch.float64)
torch.float32 = torch.float64
torch.Tensor.float = torch.Tensor.double

import transformers  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
VOCAB = 50


def save_file(tensors, path, metadata=None):
    """safetensors by hand: the package looks torch.float32 up, which is another type here."""
    names = {REAL_FLOAT32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16"}
    header = {"__metadata__": metadata} if metadata else {}
    blobs, offset = [], 0
    for name, t in sorted(tensors.items()):
        raw = (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()
        header[name] = {"dtype": names[t.dtype], "shape": list(t.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        blobs.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


class NormedProjection(torch.nn.Module):
    """Qwen3's q_norm and k_norm: RMS over each head's dims, one weight for all heads."""

    def __init__(self, linear, head_dim, eps):
        super().__init__()
        self.linear = linear
        self.norm = torch.nn.Parameter(1 + 0.3 * torch.randn(head_dim))
        self.eps = eps

    def forward(self, x):
        y = self.linear(x)
        y = y.view(*y.shape[:-1], -1, self.norm.numel())
        y = y / torch.sqrt((y * y).mean(-1, keepdim=True) + self.eps) * self.norm
        return y.flatten(-2)


def qwen3(config):
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, attn_implementation="eager"))
    for layer in model.model.layers:
        a = layer.self_attn
        a.q_proj = NormedProjection(a.q_proj, config["head_dim"], config["rms_norm_eps"])
        a.k_proj = NormedProjection(a.k_proj, config["head_dim"], config["rms_norm_eps"])
    return model


def rename_qwen3(name):
    for p in "qk":
        name = name.replace(f"{p}_proj.norm", f"{p}_norm.weight").replace(f"{p}_proj.linear", f"{p}_proj")
    return name


LLAMA = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             rms_norm_eps=1e-5)
GPT2 = dict(vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=4)
FALCON = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
              max_position_embeddings=64)
CASES = {
    "gpt2_plain": ("gpt2", GPT2, {}),
    "gpt2_options": ("gpt2", dict(GPT2, n_embd=24, n_head=3, n_inner=40, n_layer=3,
                                  activation_function="gelu", tie_word_embeddings=False,
                                  scale_attn_by_inverse_layer_idx=True, layer_norm_epsilon=1e-3),
                     {"strip": "transformer."}),
    "gpt2_half": ("gpt2", dict(GPT2, n_head=2, activation_function="relu", scale_attn_weights=False),
                  {"dtype": torch.float16}),
    "llama_scaled": ("llama", dict(LLAMA, head_dim=8, attention_bias=True, mlp_bias=True,
                                   rope_theta=500.0,
                                   rope_scaling=dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0,
                                                     high_freq_factor=4.0,
                                                     original_max_position_embeddings=16)), {}),
    "llama_tied": ("llama", dict(LLAMA, tie_word_embeddings=True, num_key_value_heads=1,
                                 rope_scaling=dict(rope_type="linear", factor=2.0)),
                   {"dtype": torch.bfloat16}),
    "llama_yarn": ("llama", dict(LLAMA, num_key_value_heads=4, head_dim=8,
                                 rope_scaling=dict(rope_type="yarn", factor=4.0)), {}),
    "llama_dynamic": ("llama", dict(LLAMA, head_dim=8, max_position_embeddings=8,
                                    rope_scaling=dict(rope_type="dynamic", factor=2.0)), {}),
    "mistral": ("mistral", dict(LLAMA, head_dim=4, sliding_window=4), {}),
    "qwen2": ("qwen2", dict(LLAMA, rope_theta=1000.0, use_sliding_window=True, sliding_window=5,
                            max_window_layers=0), {}),
    "qwen3": ("qwen3", dict(LLAMA, head_dim=8, attention_bias=False), {}),
    "gemma": ("gemma", dict(LLAMA, head_dim=8), {}),
    "gemma2": ("gemma2", dict(LLAMA, head_dim=8, sliding_window=4, query_pre_attn_scalar=10,
                              attn_logit_softcapping=2.0, final_logit_softcapping=3.0), {}),
    "phi3": ("phi3", dict(LLAMA, sliding_window=6, original_max_position_embeddings=8, pad_token_id=0,
                          rope_scaling=dict(type="longrope", short_factor=[1.0, 1.2, 1.4],
                                            long_factor=[1.5, 2.0, 3.0])), {}),
    "gpt_neox": ("gpt_neox", dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2,
                                  num_attention_heads=4, intermediate_size=24, rotary_pct=0.5,
                                  rotary_emb_base=300, max_position_embeddings=64), {}),
    "gpt_neox_sequential": ("gpt_neox", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2,
                                             num_attention_heads=2, intermediate_size=24,
                                             rotary_pct=0.25, max_position_embeddings=64,
                                             use_parallel_residual=False, attention_bias=False,
                                             hidden_act="gelu_fast", tie_word_embeddings=True), {}),
    "gptj": ("gptj", dict(vocab_size=VOCAB, n_positions=32, n_embd=24, n_layer=2, n_head=3,
                          rotary_dim=4), {}),
    "gpt_neo": ("gpt_neo", dict(vocab_size=VOCAB, hidden_size=16, num_layers=2, num_heads=2,
                                attention_types=[[["global", "local"], 1]], window_size=4,
                                max_position_embeddings=32), {}),
    "opt": ("opt", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, ffn_dim=24,
                        num_attention_heads=4, max_position_embeddings=32), {}),
    "opt_postnorm": ("opt", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, ffn_dim=24,
                                 num_attention_heads=2, max_position_embeddings=32,
                                 do_layer_norm_before=False, word_embed_proj_dim=12), {}),
    "opt_plain_norms": ("opt", dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, ffn_dim=24,
                                    num_attention_heads=2, max_position_embeddings=32, enable_bias=False,
                                    layer_norm_elementwise_affine=False), {}),
    "bloom": ("bloom", dict(vocab_size=VOCAB, hidden_size=24, n_layer=2, n_head=6), {}),
    "bloom_postnorm": ("bloom", dict(vocab_size=VOCAB, hidden_size=16, n_layer=2, n_head=2,
                                     apply_residual_connection_post_layernorm=True), {}),
    "mpt": ("mpt", dict(vocab_size=VOCAB, d_model=24, n_heads=6, n_layers=2, max_seq_len=32,
                        attn_config=dict(alibi_bias_max=4, clip_qkv=0.7, softmax_scale=0.4)), {}),
    "falcon_grouped": ("falcon", dict(FALCON, new_decoder_architecture=True, num_kv_heads=2, bias=True), {}),
    "falcon_multiquery": ("falcon", dict(FALCON, multi_query=True), {}),
    "falcon_plain": ("falcon", dict(FALCON, multi_query=False, parallel_attn=False, alibi=True, bias=True,
                                    num_attention_heads=3), {"head_mask": True}),
    "gpt_bigcode": ("gpt_bigcode", dict(GPT2, multi_query=True, n_inner=24), {}),
    "gpt_bigcode_heads": ("gpt_bigcode", dict(GPT2, multi_query=False, activation_function="gelu_new"), {}),
}
ATTENTION = ("c_attn", "attn.c_proj", "q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj",
             "query_key_value", "attention.dense", "Wqkv")
LENGTHS = [7, 13, 2, 9]


def samples(rng):
    result = []
    for i, n in enumerate(LENGTHS):
        ids = torch.randint(0, VOCAB, (n,), generator=rng).tolist()
        sample = {"id": f"s{i}", "text": f"sample {i}", "group": "ab"[i % 2], "input_ids": ids}
        if i % 2:  # a prompt that is not predicted, and one hole
            labels = list(ids)
            labels[: n // 3] = [-100] * (n // 3)
            labels[-2] = -100
            sample["labels"] = labels
        result.append(sample)
    return result


def build(kind, options):
    if kind == "qwen3":
        return qwen3(options), dict(options, model_type="qwen3", architectures=["Qwen3ForCausalLM"])
    config = transformers.AutoConfig.for_model(kind, **options)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    return model, json.loads(config.to_json_string())


def make(case, kind, options, extra):
    torch.manual_seed(sum(case.encode()))
    rng = torch.Generator().manual_seed(len(case))
    model, config = build(kind, options)
    model = model.double().eval()
    stored = extra.get("dtype", REAL_FLOAT32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:  # norms and biases are 1 and 0 at birth: too easy
                p.add_(0.3 * torch.randn(p.shape, generator=rng))
            else:
                p.copy_(0.25 * torch.randn(p.shape, generator=rng))
            p.copy_(p.to(stored).double())
    rename = rename_qwen3 if kind == "qwen3" else lambda n: n
    strip = extra.get("strip", "")
    saved = {}
    pointers = set()
    for name, p in model.named_parameters():
        assert p.data_ptr() not in pointers
        pointers.add(p.data_ptr())
        name = rename(name)
        name = name[len(strip):] if strip and name.startswith(strip) else name
        saved[name] = p.detach().to(stored).contiguous()
    folder = HERE / case
    folder.mkdir(exist_ok=True)
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    for key in ("_name_or_path", "transformers_version", "torch_dtype", "_attn_implementation_autoset"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    task = samples(rng)
    (folder / "samples.jsonl").write_text("".join(json.dumps(s) + "\n" for s in task))

    recorded = {}
    for name, p in model.named_parameters():
        if any(a in name for a in ATTENTION) and "mlp" not in name and "norm" not in name and "ffn" not in name:
            key = rename(name)
            recorded[key[len(strip):] if strip and key.startswith(strip) else key] = p
    losses = []
    gradients = {name: [] for name in recorded}
    expected = {}
    for i, s in enumerate(task):
        for module in model.modules():  # a longer sample must not change the rotations of this one
            if hasattr(module, "original_inv_freq"):
                module.max_seq_len_cached = module.original_max_seq_len
                module.register_buffer("inv_freq", module.original_inv_freq, persistent=False)
        ids = torch.tensor([s["input_ids"]])
        labels = torch.tensor([s.get("labels", s["input_ids"])])
        more = {}
        if extra.get("head_mask"):  # without one, eager Falcon adds its ALiBi twice (mask and scores)
            more["head_mask"] = torch.ones(config["num_hidden_layers"], config["num_attention_heads"])
        out = model(input_ids=ids, labels=labels, output_attentions=(i == 0), use_cache=False, **more)
        losses.append(out.loss.detach().reshape(()))
        grads = torch.autograd.grad(out.loss, list(recorded.values()))
        for name, g in zip(recorded, grads):
            gradients[name].append(g)
        if i == 0:
            expected["attentions"] = torch.cat([a.detach() for a in out.attentions]).contiguous()
    assert losses[0].dtype == torch.float64
    expected["losses"] = torch.stack(losses)
    for name, gs in gradients.items():
        expected[name] = torch.stack(gs).contiguous()
    assert all(t.isfinite().all() for t in expected.values())
    save_file(expected, folder / "expected.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{case}: losses {[round(float(x), 4) for x in losses]}, {len(recorded)} parameters, {size // 1000} kB")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case, *CASES[case])
