# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps written by resources/python from small transformers models, beside the checkpoints they come from:
what `qkov collect` makes of a checkpoint must give the same scores.

  python make_dumps.py        (transformers 4.46, h5py)"""
import json
import pathlib
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "resources" / "python" / "src"))
from qkov_dump import DumpWriter, ModelInfo, Recorder, causal_lm_losses  # noqa: E402

VOCAB = 47
TASKS = {"words": [9, 4, 12, 2], "code": [6, 11, 3]}


def models():
    torch.manual_seed(8)
    yield "gpt2", GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=16, n_embd=24, n_layer=2, n_head=3,
                                             initializer_range=0.15, attn_implementation="eager"))
    yield "llama", LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=6, max_position_embeddings=16, initializer_range=0.15, tie_word_embeddings=False,
        attn_implementation="eager"))


def write_samples(folder):
    generator = torch.Generator().manual_seed(3)
    tasks = {}
    for task, lengths in TASKS.items():
        rows = []
        for k, n in enumerate(lengths):
            ids = torch.randint(0, VOCAB, (n,), generator=generator).tolist()
            labels = [-100 if k == 0 and t == 3 else i for t, i in enumerate(ids)]
            rows.append({"id": f"{task}-{k}", "text": f"sample {k}", "group": "ab"[k % 2], "input_ids": ids, "labels": labels})
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        tasks[task] = rows
    return tasks


def main():
    for name, model in models():
        folder = HERE / name
        model.save_pretrained(folder, safe_serialization=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
        tasks = write_samples(folder)
        model = model.double().eval()
        recorder = Recorder(model)
        info = ModelInfo(json.loads((folder / "config.json").read_text()), name=name)
        for storage in ("factors", "dense"):
            with DumpWriter(folder / f"{storage}.h5", info, storage, "f32", include_bias=True) as dump:
                for task, rows in tasks.items():
                    longest = max(len(r["input_ids"]) for r in rows)
                    pad = lambda r, values, fill: values + [fill] * (longest - len(r["input_ids"]))
                    ids = torch.tensor([pad(r, r["input_ids"], 0) for r in rows])
                    labels = torch.tensor([pad(r, r["labels"], -100) for r in rows])
                    mask = torch.tensor([pad(r, [1] * len(r["input_ids"]), 0) for r in rows])
                    with recorder:
                        losses = causal_lm_losses(model(ids, attention_mask=mask).logits, labels)
                    recorder.backward(losses)
                    dump.task(task, "mean", longest).append(
                        recorder, mask, [r["id"] for r in rows], (labels[:, 1:] != -100).sum(1).tolist(), losses.tolist(),
                        [r["text"] for r in rows], [r["group"] for r in rows], ids)


if __name__ == "__main__":
    main()
