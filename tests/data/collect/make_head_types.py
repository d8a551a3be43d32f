#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Head scores of the demo model and of one grouped-query golden model, from transformers'
attention weights, by plain loops over the definitions. Writes head_types/<name>.jsonl (the probe)
and head_types/<name>.json (scores [L][H][5]: previous_token, same_token, induction, positional,
content)."""
import json
import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "head_types"


def scores(attention, tokens):
    """attention [n, H, T, T] of one layer, tokens [n, T]."""
    n, H, T, _ = attention.shape
    m = T // 2
    result = []
    for h in range(H):
        a = attention[:, h]
        previous = np.mean([a[s, i, i - 1] for s in range(n) for i in range(1, T)])
        same = np.mean([sum(a[s, i, j] for j in range(i + 1) if tokens[s, j] == tokens[s, i])
                        for s in range(n) for i in range(1, T)])
        induction = np.mean([a[s, i, i - m + 1] for s in range(n) for i in range(m, T)])
        places = [np.mean([a[s, i, 0] for s in range(n) for i in range(1, T)])]
        for o in range(2, T):
            if o not in (m - 1, m):
                places.append(np.mean([a[s, i, i - o] for s in range(n) for i in range(o, T)]))
        content = np.mean([0.5 * np.abs(a[s, i] - a[(s + k) % n, i]).sum()
                           for s in range(n) for k in range(1, 5) for i in range(1, T)])
        result.append([float(previous), float(same), float(induction), float(max(places)), float(content)])
    return result


def make(name, folder, vocab, m, n):
    rng = np.random.default_rng(5)
    tokens = np.array([np.tile(rng.integers(0, vocab, m), 2) for _ in range(n)])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
    with torch.no_grad():
        out = model(torch.tensor(tokens), output_attentions=True)
    expected = [scores(a.double().numpy(), tokens) for a in out.attentions]
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.jsonl").write_text(
        "".join(json.dumps({"id": i, "input_ids": t.tolist()}) + "\n" for i, t in enumerate(tokens)))
    (OUT / f"{name}.json").write_text(json.dumps(expected) + "\n")
    best = np.array(expected)
    print(name, "highest scores", best.max((0, 1)).round(3), "induction at",
          np.unravel_index(best[..., 2].argmax(), best.shape[:2]))


make("demo", HERE.parents[2] / "resources" / "demo", 256, 16, 12)
make("llama_scaled", HERE / "llama_scaled", 50, 6, 8)
