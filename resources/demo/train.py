# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the demo model: a byte-level GPT-2 that knows arithmetic and this project's source code.

  python train.py --out DIR [--steps N] [--batch N] [--width N]     needs PyTorch only

Writes the model directory (config.json, model.safetensors in float16, tokenizer.json), the held-out
samples (arithmetic.jsonl, code.jsonl), loss.csv and report.json (losses, head scores, generations)."""
import argparse
import json
import math
import multiprocessing
import pathlib
import random
import struct
import time

import torch
import torch.nn.functional as F

import arithmetic
import sourcecode

VOCAB, CONTEXT = 256, 256
MIX = (("arithmetic", 0.42), ("code", 0.50), ("repeat", 0.08))


class Attention(torch.nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.c_attn = torch.nn.Parameter(torch.randn(width, 3 * width) * 0.02)  # Conv1D: [in, out]
        self.c_attn_bias = torch.nn.Parameter(torch.zeros(3 * width))
        self.c_proj = torch.nn.Parameter(torch.randn(width, width) * 0.02)
        self.c_proj_bias = torch.nn.Parameter(torch.zeros(width))

    def forward(self, x, weights=None):
        n, t, d = x.shape
        q, k, v = (x @ self.c_attn + self.c_attn_bias).split(d, dim=2)
        q, k, v = (u.view(n, t, self.heads, d // self.heads).transpose(1, 2) for u in (q, k, v))
        if weights is None and hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True,
                                               dropout_p=self.dropout if self.training else 0.0)
        else:
            a = q @ k.transpose(2, 3) / math.sqrt(d // self.heads)
            a = a.masked_fill(torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1), float("-inf"))
            a = torch.softmax(a, dim=3)
            if weights is not None:
                weights.append(a)
            y = F.dropout(a, self.dropout, self.training) @ v
        y = y.transpose(1, 2).reshape(n, t, d)
        return F.dropout(y @ self.c_proj + self.c_proj_bias, self.dropout, self.training)


class Block(torch.nn.Module):
    def __init__(self, width, heads, layers, dropout):
        super().__init__()
        self.dropout = dropout
        self.ln_1 = torch.nn.LayerNorm(width, eps=1e-5)
        self.attn = Attention(width, heads, dropout)
        self.ln_2 = torch.nn.LayerNorm(width, eps=1e-5)
        self.c_fc = torch.nn.Parameter(torch.randn(width, 4 * width) * 0.02)
        self.c_fc_bias = torch.nn.Parameter(torch.zeros(4 * width))
        self.c_proj = torch.nn.Parameter(torch.randn(4 * width, width) * 0.02 / math.sqrt(2 * layers))
        self.c_proj_bias = torch.nn.Parameter(torch.zeros(width))

    def forward(self, x, weights=None):
        x = x + self.attn(self.ln_1(x), weights)
        h = F.gelu(self.ln_2(x) @ self.c_fc + self.c_fc_bias, approximate="tanh")
        return x + F.dropout(h @ self.c_proj + self.c_proj_bias, self.dropout, self.training)


class Gpt2(torch.nn.Module):
    def __init__(self, width, heads, layers, dropout):
        super().__init__()
        self.width, self.n_heads, self.dropout = width, heads, dropout
        self.wte = torch.nn.Parameter(torch.randn(VOCAB, width) * 0.02)
        self.wpe = torch.nn.Parameter(torch.randn(CONTEXT, width) * 0.02)
        self.h = torch.nn.ModuleList(Block(width, heads, layers, dropout) for _ in range(layers))
        self.ln_f = torch.nn.LayerNorm(width, eps=1e-5)

    def forward(self, ids, weights=None):
        x = F.dropout(self.wte[ids] + self.wpe[:ids.shape[1]], self.dropout, self.training)
        for block in self.h:
            x = block(x, weights)
        return self.ln_f(x) @ self.wte.t()

    def named(self):
        """Parameters under the names and in the layout of transformers' GPT2LMHeadModel."""
        out = {"transformer.wte.weight": self.wte, "transformer.wpe.weight": self.wpe,
               "transformer.ln_f.weight": self.ln_f.weight, "transformer.ln_f.bias": self.ln_f.bias}
        for i, b in enumerate(self.h):
            p = f"transformer.h.{i}."
            out.update({p + "ln_1.weight": b.ln_1.weight, p + "ln_1.bias": b.ln_1.bias,
                        p + "attn.c_attn.weight": b.attn.c_attn, p + "attn.c_attn.bias": b.attn.c_attn_bias,
                        p + "attn.c_proj.weight": b.attn.c_proj, p + "attn.c_proj.bias": b.attn.c_proj_bias,
                        p + "ln_2.weight": b.ln_2.weight, p + "ln_2.bias": b.ln_2.bias,
                        p + "mlp.c_fc.weight": b.c_fc, p + "mlp.c_fc.bias": b.c_fc_bias,
                        p + "mlp.c_proj.weight": b.c_proj, p + "mlp.c_proj.bias": b.c_proj_bias})
        return out


# ---- data ----

def repeat_window(rng):
    """A random byte string, then again and again; only the repetitions are predicted (label -1)."""
    m = rng.randint(8, CONTEXT // 2)
    alphabet = range(256) if rng.random() < 0.7 else range(32, 127)
    first = bytes(rng.choice(alphabet) for _ in range(m))
    data = (first * (CONTEXT // m + 1))[:CONTEXT]
    return data, m


def make_windows(job):
    kind, count, seed = job
    rng = random.Random(f"{kind} {seed}")
    code = sourcecode.Windows(sourcecode.load()) if kind == "code" else None
    inputs, skips = bytearray(), []
    for _ in range(count):
        skip = 0
        if kind == "arithmetic":
            data = arithmetic.window(rng, CONTEXT)
        elif kind == "code":
            data = code.window(rng, CONTEXT)
        else:
            data, skip = repeat_window(rng)
        inputs += data
        skips.append(skip)
    return bytes(inputs), skips


def training_windows(total, workers):
    jobs = [(kind, max(1, int(total * share)) // 16 + 1, seed) for kind, share in MIX for seed in range(16)]
    with multiprocessing.Pool(workers) as pool:
        parts = pool.map(make_windows, jobs, chunksize=1)
    data = torch.frombuffer(bytearray(b"".join(p for p, _ in parts)), dtype=torch.uint8).view(-1, CONTEXT)
    return data, torch.tensor([s for _, skips in parts for s in skips])


def write_samples(out, count):
    files, samples = sourcecode.load(), {}
    for task, pairs in (("arithmetic", arithmetic.held_out_samples(count, 7)),
                        ("code", sourcecode.held_out_samples(files, count, 7))):
        name = {"arithmetic": "arith"}.get(task, task)
        rows = [{"id": f"{name}-{k + 1:03}", "text": text, "group": group, "input_ids": list(text.encode())}
                for k, (group, text) in enumerate(pairs)]
        with open(out / f"{task}.jsonl", "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        samples[task] = [row["input_ids"] for row in rows]
    return samples


# ---- measuring ----

@torch.no_grad()
def sample_loss(model, samples, device):
    """Mean over samples of the mean loss over a sample's predicted bytes."""
    model.eval()
    length = max(map(len, samples))
    ids = torch.zeros(len(samples), length, dtype=torch.long)
    labels = torch.full((len(samples), length), -100)
    for row, s in enumerate(samples):
        ids[row, :len(s)] = torch.tensor(s)
        labels[row, :len(s)] = torch.tensor(s)
    logits = model(ids.to(device)).float()[:, :-1]
    target = labels[:, 1:].to(device)
    loss = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=-100, reduction="none")
    model.train()
    return (loss.sum(1) / (target != -100).sum(1)).mean().item()


@torch.no_grad()
def head_scores(model, device, m=32, sequences=32, seed=0):
    """The scores that need one probe: random tokens written twice."""
    model.eval()
    g = torch.Generator().manual_seed(seed)
    first = torch.randint(0, VOCAB, (sequences, m), generator=g)
    ids = torch.cat([first, first], 1).to(device)
    weights = []
    model(ids, weights)
    a = torch.stack(weights).float()  # [layers, n, heads, t, t]
    t = 2 * m
    i = torch.arange(1, t)
    previous = a[..., i, i - 1].mean((1, 3))
    j = torch.arange(m, t)
    induction = a[..., j, j - m + 1].mean((1, 3))
    same = (ids[:, :, None] == ids[:, None, :]).float()[None, :, None]
    same_token = (a * same).sum(-1)[..., 1:].mean((1, 3))
    best = a[..., 1:, 0].mean((1, 3))
    for offset in range(2, t):
        if offset not in (m - 1, m):
            k = torch.arange(offset, t)
            best = torch.maximum(best, a[..., k, k - offset].mean((1, 3)))
    model.train()
    return {"previous_token": previous.tolist(), "same_token": same_token.tolist(),
            "induction": induction.tolist(), "positional": best.tolist()}


@torch.no_grad()
def continuation(model, prompt, device, count):
    model.eval()
    ids = torch.tensor([list(prompt.encode())], device=device)
    for _ in range(count):
        ids = torch.cat([ids, model(ids[:, -CONTEXT:])[:, -1:].argmax(2)], 1)
    model.train()
    return bytes(ids[0].tolist()).decode("utf-8", "replace")


# ---- files ----

def save_safetensors(path, tensors):
    header, offset, blobs = {"__metadata__": {"format": "pt"}}, 0, []
    for name, tensor in sorted(tensors.items()):
        blob = tensor.detach().cpu().half().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def byte_symbols():
    """The printable character that GPT-2's byte-level tokenizers write for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols, extra = {}, 0
    for byte in range(256):
        if byte in printable:
            symbols[byte] = chr(byte)
        else:
            symbols[byte] = chr(256 + extra)
            extra += 1
    return symbols


def save_config(out, model):
    layers = len(model.h)
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCAB, "n_positions": CONTEXT,
              "n_ctx": CONTEXT, "n_embd": model.width, "n_layer": layers, "n_head": model.n_heads, "n_inner": None,
              "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.0, "embd_pdrop": 0.0,
              "resid_pdrop": 0.0, "scale_attn_weights": True, "tie_word_embeddings": True, "torch_dtype": "float16"}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": level, "post_processor": None, "decoder": level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                           "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                           "vocab": {symbol: byte for byte, symbol in byte_symbols().items()}, "merges": []}}
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=3884)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--windows", type=int, default=1000000)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1e9, help="shorten the schedule so that training takes no longer than this")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    began = time.time()
    samples = write_samples(args.out, args.samples)
    data, skip = training_windows(args.windows, multiprocessing.cpu_count())
    data, skip = data.to(device), skip.to(device)
    print(f"{len(data)} windows of {CONTEXT} bytes in {time.time() - began:.0f} s; held out: "
          + ", ".join(f"{task} {len(s)}" for task, s in samples.items()), flush=True)

    model = Gpt2(args.width, args.heads, args.layers, args.dropout).to(device)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    options = {"fused": True} if device == "cuda" else {}
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.98), **options)
    pick = torch.Generator().manual_seed(args.seed)
    position = torch.arange(CONTEXT, device=device)
    edges = [0]
    for _, share in MIX:
        edges.append(edges[-1] + (max(1, int(args.windows * share)) // 16 + 1) * 16)
    rows, running, steps = [], [], args.steps
    start = time.time()
    for step in range(steps + 1):
        if step % args.every == 0 or step == steps:
            row = {"step": step, "train": sum(x.item() for x in running) / max(1, len(running))}
            model.eval()
            with torch.no_grad():
                for k, (kind, _) in enumerate(MIX):
                    part = slice(edges[k], edges[k] + 64)
                    row[f"train_{kind}"] = batch_loss(model, data[part], skip[part], position).item()
            model.train()
            for task, s in samples.items():
                row[f"heldout_{task}"] = sample_loss(model, s, device)
            row["seconds"] = round(time.time() - start, 1)
            rows.append(row)
            running = []
            print(" ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
        if step == steps:
            break
        if step == 300:  # after the warm-up of the machine: does the schedule fit?
            steps = min(steps, step + int((args.seconds - (time.time() - start)) / ((time.time() - start) / step)))
        warm, progress = min(1.0, (step + 1) / 300), step / steps
        for group in optimizer.param_groups:
            group["lr"] = args.rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
        index = torch.randint(0, len(data), (args.batch,), generator=pick).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = batch_loss(model, data[index], skip[index], position)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running.append(loss.detach())

    with open(args.out / "loss.csv", "w") as f:
        f.write(",".join(rows[0]) + "\n")
        for row in rows:
            f.write(",".join(f"{v:.5f}" if isinstance(v, float) else str(v) for v in row.values()) + "\n")
    save_safetensors(args.out / "model.safetensors", model.named())
    save_config(args.out, model)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.half().float())
    prompts = ["47 + 38 =", "Add 356 and 278.\n", "Sequence: 7, 13, 19, 25, 31. Rule:", "Tom has 23 coins. Ana gives Tom 18 more.",
               "struct Interval {\n    double", "void TestMatrix::", "for (std::size_t i = 0; i < ", "def read_rows(path):\n",
               "// SPDX-License", "#include \"base/"]
    report = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "torch": torch.__version__,
              "arguments": {k: str(v) for k, v in vars(args).items()}, "parameters": sum(p.numel() for p in model.parameters()),
              "float16_heldout": {task: sample_loss(model, s, device) for task, s in samples.items()},
              "head_scores": head_scores(model, device),
              "generations": [continuation(model, p, device, 120) for p in prompts]}
    (args.out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    best = max((v, layer, head) for layer, r in enumerate(report["head_scores"]["induction"]) for head, v in enumerate(r))
    print(f"best induction score {best[0]:.3f} at layer {best[1]} head {best[2]}; {time.time() - began:.0f} s in all")
    for text in report["generations"]:
        print("---\n" + text)


def batch_loss(model, ids, skip, position):
    ids = ids.long()
    target = ids.masked_fill(position[None, :] < skip[:, None], -100)[:, 1:]
    logits = model(ids)[:, :-1].float()
    return F.cross_entropy(logits.reshape(-1, VOCAB), target.reshape(-1), ignore_index=-100)


if __name__ == "__main__":
    main()
