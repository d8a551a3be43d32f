#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-sample gradients of GPT-2-small as a PyTorch user would collect them: sample by sample.

    loop_torch.py [--samples 100] [--tokens 64,256] [--measured 20] [--device cuda|cpu] [--json]

bench_capture --beside runs it and prints the ratios. Needs torch and transformers; random weights.
"""
import argparse
import json
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--tokens", default="64,256")
    parser.add_argument("--measured", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    device = o.device
    model = GPT2LMHeadModel(GPT2Config()).to(device).eval()
    attention = [p for n, p in model.named_parameters() if "attn.c_" in n and n.endswith("weight")]

    def loop(ids, keep):
        kept = []
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.time()
        for sample in ids:
            model.zero_grad(set_to_none=True)
            model(sample, labels=sample).loss.backward()
            if keep == "device":
                kept.append([p.grad.clone() for p in attention])
            elif keep == "host":
                kept.append([p.grad.cpu() for p in attention])
            elif keep == "half":
                kept.append([p.grad.half().cpu() for p in attention])
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.time() - start) * o.samples / len(ids)

    for tokens in map(int, o.tokens.split(",")):
        ids = torch.randint(0, 50257, (o.measured, 1, tokens), device=device)
        loop(ids[:3], "")
        times = {keep: loop(ids, keep) for keep in ("", "device", "host", "half")}
        if o.json:
            print(json.dumps({"tokens": tokens, "dropped": times[""], "device": times["device"], "half": times["half"]}))
            continue
        print(f"{device}, {o.samples} samples of {tokens} tokens one by one: gradients dropped "
              f"{times['']:.3f} s, kept on the device {times['device']:.3f} s, in host memory "
              f"{times['host']:.3f} s, there as float16 {times['half']:.3f} s")


main()
