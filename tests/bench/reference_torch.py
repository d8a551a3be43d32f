# SPDX-License-Identifier: GPL-3.0-or-later
"""The same work as bench_cuda's main case, as a good PyTorch programmer would write it.

GPT-2-small: 12 layers, c_attn [768, 2304] (36 column heads) and c_proj [768, 768] (12 row heads),
100 + 100 samples, float16 gradients on the device. Prints milliseconds per full pass (576 slices).
"""
import json
import statistics
import sys

import torch

LAYERS, HIDDEN, HEADS, N = 12, 768, 12, 100


# Each returns [heads, n, n]. `split` cuts the long parameter axis, so that the batched product has
# enough blocks for the device: without it bfloat16 takes six times as long.
def columns(a, b, w, dtype, split):  # [n, rows, heads, 64], w [rows, heads, 64]
    def operand(x):
        n, r, h, d = x.shape
        x = x.to(dtype).view(n, split, r // split, h, d).permute(1, 3, 0, 2, 4)
        return x.reshape(split * h, n, r // split * d)

    x = operand(a.float().square() * w)
    y = operand(b.abs())
    m = torch.bmm(x, y.transpose(1, 2))
    return m.float().view(split, -1, m.shape[1], m.shape[2]).sum(0)


def rows(a, b, w, dtype, split):  # [n, heads, 64 * 768]
    def operand(x):
        n, h, k = x.shape
        x = x.to(dtype).view(n, h, split, k // split).permute(2, 1, 0, 3)
        return x.reshape(split * h, n, k // split)

    x = operand(a.float().square() * w)
    y = operand(b.abs())
    m = torch.bmm(x, y.transpose(1, 2))
    return m.float().view(split, -1, m.shape[1], m.shape[2]).sum(0)


def timed(f, repeats=10):
    for _ in range(3):
        f()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        f()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def main():
    torch.manual_seed(0)
    device = "cuda"
    qkv = [[torch.randn(N, HIDDEN, 3 * HEADS, 64, device=device, dtype=torch.float16) * 0.01
            for _ in range(LAYERS)] for _ in range(2)]
    out = [[torch.randn(N, HEADS, 64 * HIDDEN, device=device, dtype=torch.float16) * 0.01
            for _ in range(LAYERS)] for _ in range(2)]
    w_qkv = [torch.rand(HIDDEN, 3 * HEADS, 64, device=device) + 0.5 for _ in range(LAYERS)]
    w_out = [torch.rand(HEADS, 64 * HIDDEN, device=device) + 0.5 for _ in range(LAYERS)]
    torch.set_float32_matmul_precision("high")
    result = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    for name, dtype, compiled, split in (("compiled_bf16_split_8", torch.bfloat16, True, 8),
                                         ("compiled_bf16_split_16", torch.bfloat16, True, 16),
                                         ("compiled_tf32_split_1", torch.float32, True, 1)):
        torch._dynamo.reset()
        f = torch.compile(columns, dynamic=False) if compiled else columns
        g = torch.compile(rows, dynamic=False) if compiled else rows

        def work():
            for layer in range(LAYERS):
                f(qkv[0][layer], qkv[1][layer], w_qkv[layer], dtype, split)
                g(out[0][layer], out[1][layer], w_out[layer], dtype, split)

        result[name + "_ms"] = round(timed(work), 3)
    result["best_bf16_ms"] = min(v for k, v in result.items() if k.startswith("compiled_bf16"))
    big = torch.empty(1 << 32, dtype=torch.uint8, device=device)
    other = torch.empty_like(big)
    ms = timed(lambda: other.copy_(big))
    result["copy_TB_per_s"] = round(2 * big.numel() / ms / 1e9, 3)
    print(json.dumps(result))
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(result, file)


main()
