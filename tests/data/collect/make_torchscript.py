#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A custom attention model as a TorchScript module, its layout file, and float64 autograd's losses
and per-sample gradients. Writes torchscript/: model.pt, config.json, layout.json, samples.jsonl,
expected.bin (float64: losses [3], then per parameter [3, *shape]) and expected.json (their order)."""
import json
import pathlib

import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).resolve().parent / "torchscript"
VOCAB, D, H, LAYERS = 20, 8, 2, 2


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.d, self.h = D, H
        self.mix = torch.nn.Linear(D, 3 * D)
        self.out = torch.nn.Linear(D, D)

    def forward(self, x):
        B, T = x.size(0), x.size(1)
        qkv = self.mix(x).view(B, T, self.h, 3, self.d // self.h).permute(3, 0, 2, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        s = q @ k.transpose(-1, -2)
        mask = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)
        a = s.masked_fill(mask, float("-inf")).softmax(-1)
        return x + self.out((a @ v).transpose(1, 2).reshape(B, T, self.d))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.vocabulary = VOCAB
        self.embed = torch.nn.Embedding(VOCAB, D)
        self.blocks = torch.nn.ModuleList([Block() for _ in range(LAYERS)])

    def forward(self, input_ids, labels):
        x = self.embed(input_ids)
        for block in self.blocks:
            x = block(x)
        logits = x @ self.embed.weight.t()
        return F.cross_entropy(logits[:, :-1].reshape(-1, self.vocabulary), labels[:, 1:].reshape(-1), ignore_index=-100)


torch.manual_seed(3)
model = Model()
for p in model.parameters():
    p.data = 0.5 * torch.randn_like(p)
OUT.mkdir(exist_ok=True)
torch.jit.script(model).save(str(OUT / "model.pt"))
(OUT / "config.json").write_text(json.dumps({
    "model_type": "mine", "num_hidden_layers": LAYERS, "num_attention_heads": H, "hidden_size": D,
    "vocab_size": VOCAB}) + "\n")
(OUT / "layout.json").write_text(json.dumps({
    "name": "mine",
    "fused": {"parameter": r"^blocks\.(\d+)\.mix\.weight$", "bias": r"^blocks\.(\d+)\.mix\.bias$",
              "order": "per_head", "orientation": "out_in"},
    "O": {"parameter": r"^blocks\.(\d+)\.out\.weight$", "orientation": "out_in"}}, indent=1) + "\n")
tasks = [{"id": "x", "input_ids": [1, 5, 3, 9]}, {"id": "y", "input_ids": [4, 4], "labels": [4, 4]},
         {"id": "z", "input_ids": [7, 1, 2, 3, 19], "labels": [-100, -100, 2, -100, 19]}]
(OUT / "samples.jsonl").write_text("".join(json.dumps(t) + "\n" for t in tasks))
model = model.double()
names = [n for n, _ in model.named_parameters() if "mix" in n or "out.weight" in n]
parameters = [dict(model.named_parameters())[n] for n in names]
losses, gradients = [], [[] for _ in names]
for t in tasks:
    loss = model(torch.tensor([t["input_ids"]]), torch.tensor([t.get("labels", t["input_ids"])]))
    losses.append(float(loss))
    for k, g in enumerate(torch.autograd.grad(loss, parameters)):
        gradients[k].append(g)
(OUT / "expected.json").write_text(json.dumps(names) + "\n")
flat = [torch.tensor(losses, dtype=torch.float64)] + [torch.stack(g).reshape(-1) for g in gradients]
(OUT / "expected.bin").write_bytes(torch.cat(flat).numpy().tobytes())
print(losses, names)
