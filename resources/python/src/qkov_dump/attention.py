# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the attention projections of a live model by the names its parameters have."""

import re

import torch

# Modules that hold Q, K, V or O of self-attention, in the models of the transformers library.
# Which rows or columns belong to which head is not decided here: the reader of the dump knows.
PROJECTIONS = re.compile(
    r"(?:^|\.)(?:"
    r"attn\.c_attn|attn\.c_proj"                                  # gpt2, gpt_bigcode
    r"|attn\.attention\.(?:q|k|v|out)_proj"                       # gpt_neo
    r"|(?:attn|self_attn)\.(?:q|k|v|o|out|qkv)_proj"              # llama, opt, gptj, phi3 …
    r"|self_attn\.(?:q_b_proj|kv_b_proj)"                         # deepseek_v3
    r"|attention\.(?:query_key_value|dense|wqkv|wo)"              # gpt_neox, internlm2
    r"|self_attention\.(?:query_key_value|dense)"                 # bloom, falcon
    r"|attn\.(?:Wqkv|out_proj)"                                   # mpt
    r"|attention\.self\.(?:query|key|value)|attention\.output\.dense"  # bert
    r")$")


def is_conv1d(module):
    """The Conv1D of GPT-2: a linear layer whose weight is stored [in, out]."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def attention_modules(model, patterns=None):
    """{parameter name: module} of every attention projection, in the model's order.

    patterns: regular expressions on parameter names ("….weight"), for models not known here.
    """
    wanted = [re.compile(p) for p in patterns] if patterns else None
    found = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, torch.Tensor) or weight.dim() != 2:
            continue
        if not (isinstance(module, torch.nn.Linear) or is_conv1d(module)):
            continue
        parameter = name + ".weight"
        if wanted is None:
            if PROJECTIONS.search(name) and "crossattention" not in name and ".mlp." not in name:
                found[parameter] = module
        elif any(p.search(parameter) for p in wanted):
            found[parameter] = module
    return found
