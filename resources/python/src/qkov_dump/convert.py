# SPDX-License-Identifier: GPL-3.0-or-later
"""From files of other tools to files the app reads. Pickles are loaded with weights_only: nothing
in them is run."""

import json
import struct
import warnings

import numpy as np
import torch

from .attention import PROJECTIONS
from .writer import DumpError, DumpWriter

_SAFETENSORS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
                torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
                torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def load_pickle(path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise DumpError(f"{path}: can't be read without running its code ({error}); save plain "
                        "tensors in dicts and lists") from error


def state_dict_to_safetensors(source, target):
    """A `.pt`/`.bin` state dict (path or dict) to a safetensors file. Returns the tensor names."""
    state = load_pickle(source) if isinstance(source, (str, bytes)) or hasattr(source, "__fspath__") else source
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise DumpError(f"{source}: is not a state dict (a dict of tensors)")
    header, at = {}, 0
    for name in sorted(state):
        tensor = state[name]
        if tensor.dtype not in _SAFETENSORS:
            raise DumpError(f"{source}: {name} has type {tensor.dtype}, which safetensors lacks")
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _SAFETENSORS[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as out:
        out.write(struct.pack("<Q", len(text)))
        out.write(text)
        for name in sorted(state):
            raw = state[name].detach().contiguous().cpu().flatten()
            out.write(raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b"")
    return sorted(state)


def convert_tensorscope(contribution_cache, out, model, gradients=None, n_tokens=None, texts=None,
                        dtype="f32"):
    """A TensorScope cache to a dump.

    contribution_cache: {task: {sample key: {parameter: g² ÷ predicted tokens}}}; also without tasks,
    {"task_number": {parameter: …}}, or stacked, {task: {parameter: [samples, …]}};
    gradients: its gradient store {task: {key: {"gradient", "sample_id", "param_name"}}}, optional,
    used for parameters it holds for every sample; also {task: {parameter: [samples, …]}};
    n_tokens: {sample key: predicted tokens}. Where it is not given it follows from
    Σ g² ÷ Σ C of a parameter that has both. model: ModelInfo. texts: {sample key: text}.
    """
    report = []
    contribution_cache = _by_task_and_sample(contribution_cache)
    with DumpWriter(out, model, storage="dense", dtype=dtype) as dump:
        for task_name, samples in contribution_cache.items():
            keys = sorted(samples, key=_sample_number)
            stored = _gradients_by_sample((gradients or {}).get(task_name, {}))
            task = dump.task(task_name)
            tokens = [_tokens(key, samples[key], stored.get(_sample_number(key)), n_tokens) for key in keys]
            names = sorted(p for p in set().union(*(samples[k] for k in keys)) if _is_projection(p))
            if not names:
                raise DumpError(f"task '{task_name}' holds no attention projections")
            for name in names:
                lacking = [k for k in keys if name not in samples[k]]
                if lacking:
                    report.append(f"{task_name}: {name} is left out: {len(lacking)} of {len(keys)} samples lack it")
                    continue
                whole = all(name in stored.get(_sample_number(k), {}) for k in keys)
                for i, key in enumerate(keys):
                    task.add_gradients(name, i, samples[key][name].float().numpy(), contributions=True)
                    if whole:
                        task.add_gradients(name, i, stored[_sample_number(key)][name].float().numpy())
                task.group[f"contributions/{name}"].attrs["definition"] = "g^2/tokens"
            task.ids, task.n_tokens = list(keys), tokens
            task.lengths = [0] * len(keys)
            task.losses = [float("nan")] * len(keys)
            task.texts = [(texts or {}).get(k, "") for k in keys]
            task.groups = [""] * len(keys)
    for line in report:
        warnings.warn(line)
    return report


def _by_task_and_sample(cache):
    """Any of the three arrangements as {task: {sample key: {parameter: tensor}}}."""
    tasks = {}
    for key, entry in cache.items():
        if not isinstance(entry, dict) or not entry:
            raise DumpError(f"the cache's entry '{key}' is not a dict of samples or parameters")
        values = list(entry.values())
        if all(isinstance(v, dict) for v in values):
            tasks[key] = entry
            continue
        if not all(isinstance(v, torch.Tensor) for v in values):
            raise DumpError(f"the cache's entry '{key}' holds something else than tensors")
        stacked = {n: t for n, t in entry.items() if _is_projection(n)}
        if stacked and all(t.dim() == 3 for t in stacked.values()):
            counts = {t.shape[0] for t in stacked.values()}
            if len(counts) != 1:
                raise DumpError(f"the cache's entry '{key}' holds different numbers of samples: {sorted(counts)}")
            tasks[key] = {f"{key}_{i}": {n: t[i] for n, t in stacked.items()} for i in range(counts.pop())}
        else:
            tasks.setdefault(str(key).rsplit("_", 1)[0], {})[key] = entry
    return tasks


def _is_projection(parameter):
    return parameter.endswith(".weight") and PROJECTIONS.search(parameter[:-len(".weight")])


def _sample_number(key):
    tail = str(key).rsplit("_", 1)[-1]
    return int(tail) if tail.isdigit() else -1


def _gradients_by_sample(store):
    found = {}
    for name, entry in store.items():
        if isinstance(entry, torch.Tensor):  # stacked
            for i, gradient in enumerate(entry):
                found.setdefault(i, {})[name] = gradient
            continue
        gradient = entry["gradient"].reshape(tuple(entry.get("shape", entry["gradient"].shape)))
        found.setdefault(int(entry["sample_id"]), {})[entry["param_name"]] = gradient
    return found


def _tokens(key, contributions, gradients, n_tokens):
    if n_tokens is not None:
        if key not in n_tokens:
            raise DumpError(f"n_tokens has no entry for sample '{key}'")
        return int(n_tokens[key])
    for name, c in contributions.items():
        if gradients and name in gradients:
            total = float(c.double().sum())
            if total > 0:
                ratio = float(gradients[name].double().pow(2).sum()) / total
                if abs(ratio - round(ratio)) <= 0.02 * ratio and round(ratio) >= 1:
                    return int(round(ratio))
    raise DumpError(f"the number of predicted tokens of sample '{key}' is not known; pass n_tokens "
                    "(TensorScope divides its contributions by it)")
