# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump format, version 1, written with h5py. A dump appears under its name only when whole."""

import datetime
import json
import os
import tempfile

import h5py
import numpy as np
import torch

from .recorder import dense_gradient

_TEXT = h5py.string_dtype("utf-8")
_DTYPES = {"f16": np.float16, "f32": np.float32}
_MOST_LOST = 0.01  # ordinary rounding to float16 takes 0.0003


class DumpError(ValueError):
    """What was given can't become a valid dump; says why in one line."""


def _first(config, *keys, default=None):
    for key in keys:
        if config.get(key) is not None and config.get(key) is not True and config.get(key) is not False:
            return config[key]
    return default


class ModelInfo:
    """What the reader must know of the model to find its heads."""

    def __init__(self, config, name=None, layout=None):
        """config: the model's config as a dict (its own keys); layout: a layout (dict) for
        architectures that the app doesn't know."""
        text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
        get = lambda *keys, default=None: _first(text, *keys, default=default)
        self.name = name or config.get("_name_or_path") or config.get("model_type") or "model"
        self.architecture = text.get("model_type") or config.get("model_type")
        self.num_layers = get("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        self.num_heads = get("num_attention_heads", "n_head", "n_heads", "num_heads")
        self.hidden_dim = get("hidden_size", "n_embd", "d_model")
        for key in ("architecture", "num_layers", "num_heads", "hidden_dim"):
            if getattr(self, key) is None:
                raise DumpError(f"the model's config doesn't say its {key.replace('_', ' ')}")
        self.num_kv_heads = self._kv_heads(text, get)
        self.head_dim = get("head_dim") or self.hidden_dim // self.num_heads
        if get("qk_nope_head_dim") is not None:
            self.head_dim = get("qk_nope_head_dim") + get("qk_rope_head_dim", default=0)
        self.v_head_dim = get("v_head_dim") or self.head_dim
        self.config_json = json.dumps(config, default=str)
        self.layout_json = json.dumps(layout) if layout else None

    def _kv_heads(self, text, get):
        multi_query = text.get("multi_query", True)
        if self.architecture == "falcon":
            if text.get("new_decoder_architecture"):
                return get("num_kv_heads", default=self.num_heads)
            return 1 if multi_query else self.num_heads
        if self.architecture == "gpt_bigcode":
            return 1 if multi_query else self.num_heads
        attention = text.get("attn_config")  # mpt
        if isinstance(attention, dict) and attention.get("kv_n_heads"):
            return attention["kv_n_heads"]
        return get("num_key_value_heads", "num_kv_heads", default=self.num_heads)


class DumpWriter:
    """with DumpWriter("math-code.h5", ModelInfo(model.config.to_dict())) as dump: …"""

    def __init__(self, path, model, storage="factors", dtype="f16", include_bias=False):
        if storage not in ("factors", "dense"):
            raise DumpError("storage is 'factors' or 'dense'")
        if dtype not in _DTYPES:
            raise DumpError("dtype is 'f16' or 'f32'")
        self.path = os.path.abspath(path)
        self.storage, self.dtype, self.include_bias = storage, _DTYPES[dtype], include_bias
        handle, self._temporary = tempfile.mkstemp(dir=os.path.dirname(self.path),
                                                   prefix=os.path.basename(self.path) + ".tmp-")
        os.close(handle)
        # Large data begin where a disk can be read past the page cache, and with a cache line.
        self.file = h5py.File(self._temporary, "w", alignment_threshold=1 << 16,
                              alignment_interval=4096)
        self.tasks = {}
        root = self.file.attrs
        root["format"] = "qkov-dump"
        root["format_version"] = 1
        root["created_by"] = "qkov-dump (Python) 0.1.0"
        root["created_at"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        attrs = self.file.create_group("model").attrs
        for key in ("name", "architecture", "num_layers", "num_heads", "num_kv_heads", "head_dim",
                    "v_head_dim", "hidden_dim", "config_json"):
            attrs[key] = getattr(model, key)
        if model.layout_json:
            attrs["layout_json"] = model.layout_json

    def task(self, name, loss_reduction="mean", max_tokens=None):
        """Starts a task. max_tokens: longest sample, if known; saves rewriting padding."""
        if not name or "/" in name:
            raise DumpError(f"'{name}' can't be a task's name")
        if name in self.tasks:
            raise DumpError(f"task '{name}' was started twice")
        self.tasks[name] = Task(self, name, loss_reduction, max_tokens)
        return self.tasks[name]

    def commit(self):
        for task in self.tasks.values():
            task.finish()
        self.file.close()
        os.chmod(self._temporary, 0o666 & ~_umask())
        os.replace(self._temporary, self.path)
        self._temporary = None

    def abandon(self):
        if self._temporary:
            self.file.close()
            os.unlink(self._temporary)
            self._temporary = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            try:
                self.commit()
                return
            finally:
                self.abandon()
        self.abandon()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Task:
    """One task's samples, appended batch by batch."""

    def __init__(self, dump, name, loss_reduction, max_tokens):
        if loss_reduction not in ("mean", "sum"):
            raise DumpError("loss_reduction is 'mean' or 'sum'")
        self.dump, self.name = dump, name
        self.group = dump.file.create_group(f"tasks/{name}")
        self.group.attrs["loss_reduction"] = loss_reduction
        self.max_tokens = max_tokens
        self.ids, self.texts, self.groups = [], [], []
        self.n_tokens, self.losses, self.tokens, self.lengths = [], [], [], []
        self.owner = None  # {parameter: the one whose stored input it uses}, known with the first batch

    def append(self, recorder, attention_mask, ids, n_tokens, losses=None, texts=None, groups=None,
               input_ids=None):
        """The recorder's last batch. attention_mask [batch, tokens] says which positions are real
        (padding on either side); n_tokens: predicted tokens of each sample."""
        mask = attention_mask.bool().cpu()
        batch = mask.shape[0]
        for what, values in (("ids", ids), ("n_tokens", n_tokens)):
            if len(values) != batch:
                raise DumpError(f"{what} has {len(values)} entries, the batch {batch}")
        known = set(self.ids)
        for i in ids:
            if str(i) in known:
                raise DumpError(f"task '{self.name}' has the sample id '{i}' twice")
            known.add(str(i))
        first = len(self.ids)
        lengths = mask.sum(1).tolist()
        factors = recorder.factors()
        together = self._by_input(factors) if self.dump.storage == "factors" else [[name] for name in factors]
        for names in together:
            for b in range(batch):
                keep = mask[b].to(factors[names[0]].input.device)
                x = factors[names[0]].input[b][keep].float()
                gradients = {name: factors[name].grad_output[b][keep].float() for name in names}
                if self.dump.storage == "dense":
                    for name, g in gradients.items():
                        gradient = dense_gradient(x, g, factors[name].conv1d)
                        self._put(f"gradients/{name}", first + b, gradient.cpu().numpy())
                else:
                    self._put_factors(names, first + b, x, gradients)
                for name, g in gradients.items():
                    if self.dump.include_bias and getattr(recorder.modules[name], "bias", None) is not None:
                        self._put(f"gradients/{name[:-len('weight')]}bias", first + b, g.sum(0).cpu().numpy())
        self.ids += [str(i) for i in ids]
        self.n_tokens += [int(n) for n in n_tokens]
        self.lengths += lengths
        nothing = [None] * batch
        self.losses += [float("nan") if v is None else float(v) for v in (nothing if losses is None else losses)]
        self.texts += [t or "" for t in (texts or nothing)]
        self.groups += [t or "" for t in (groups or nothing)]
        if input_ids is not None:
            self.tokens += [input_ids[b].cpu()[mask[b]].to(torch.int32).numpy() for b in range(batch)]

    def _by_input(self, factors):
        """Parameters by common input. Those that have parted once stay apart."""
        if self.owner is None:
            owners = {}
            self.owner = {name: owners.setdefault(_place(f.input), name) for name, f in factors.items()}
        groups = {}
        for name in factors:
            owner = self.owner[name]
            if owner != name and _place(factors[owner].input) != _place(factors[name].input):
                self._part(name)
            groups.setdefault(self.owner[name], []).append(name)
        return list(groups.values())

    def _part(self, name):
        """From here on `name` has an input of its own: a copy of what it shared."""
        path, shared = f"factors/{name}/input", f"factors/{self.owner[name]}/input"
        if path in self.group:
            del self.group[path]
            self.group.copy(self.group[shared], self.group, path)
        self.owner[name] = name

    def _put_factors(self, names, index, x, gradients):
        sharing = [name for name in names if self.owner[name] == names[0]]  # some may just have parted
        scale = None
        if len(sharing) > 1:
            scale = _shared_scale(x, [gradients[name] for name in sharing]) if self.dump.dtype == np.float16 else 1.0
            if scale is None:
                for name in sharing[1:]:
                    self._part(name)
        for name, g in gradients.items():
            path = f"factors/{name}"
            together = scale is not None and name in sharing
            stored_x, stored_g = (x / scale, g * scale) if together else _balanced(x, g)
            if not together or name == names[0]:
                self._put(f"{path}/input", index, stored_x.cpu().numpy())
            elif f"{path}/input" not in self.group:
                self.group[f"{path}/input"] = self.group[f"factors/{names[0]}/input"]
            self._put(f"{path}/grad_output", index, stored_g.cpu().numpy())

    def add_gradients(self, parameter, index, values, contributions=False):
        """Dense values of one sample, for converters."""
        self._put(f"{'contributions' if contributions else 'gradients'}/{parameter}", index,
                  np.asarray(values))

    def _put(self, path, index, values):
        if not np.isfinite(values).all():
            raise DumpError(f"task '{self.name}', {path}: sample {index} holds NaN or infinity")
        stored = values.astype(self.dump.dtype)
        if not np.isfinite(stored).all():
            raise DumpError(f"task '{self.name}', {path}: a value is too large for float16; use dtype='f32'")
        if self.dump.dtype == np.float16 and _lost(values, stored) > _MOST_LOST:
            raise DumpError(f"task '{self.name}', {path}: sample {index}'s values are too small for float16; "
                            "use dtype='f32'")
        factored = path.startswith("factors/")
        data = self.group.get(path)
        if data is None:
            shape = (self.max_tokens or stored.shape[0], *stored.shape[1:]) if factored else stored.shape
            data = self.group.create_dataset(path, (0, *shape), maxshape=(None, *((None,) if factored else ()),
                                                                          *(shape[1:] if factored else shape)),
                                             dtype=self.dump.dtype, chunks=(1, *shape))
        if factored:
            longest = max(data.shape[1], stored.shape[0])
            data.resize((index + 1, longest, data.shape[2]))
            padded = np.zeros(data.shape[1:], self.dump.dtype)
            padded[:stored.shape[0]] = stored
            stored = padded
        else:
            data.resize((index + 1, *data.shape[1:]))
        data[index] = stored

    def finish(self):
        n = len(self.ids)
        if n == 0:
            raise DumpError(f"task '{self.name}' has no samples")
        s = self.group.create_group("samples")
        s.create_dataset("id", data=np.array(self.ids, dtype=object), dtype=_TEXT)
        s.create_dataset("n_tokens", data=np.array(self.n_tokens, np.int32))
        if any(self.texts):
            s.create_dataset("text", data=np.array(self.texts, dtype=object), dtype=_TEXT)
        if any(self.groups):
            s.create_dataset("group", data=np.array(self.groups, dtype=object), dtype=_TEXT)
        if np.isfinite(self.losses).all():
            s.create_dataset("loss", data=np.array(self.losses, np.float32))
        if len(self.tokens) == n:
            tokens = s.create_dataset("tokens", (n,), dtype=h5py.vlen_dtype(np.int32))
            for i, t in enumerate(self.tokens):
                tokens[i] = t
        for kind in ("gradients", "contributions"):
            self._check(self.group.get(kind), n)
        factors = self.group.get("factors")
        for name in factors or ():
            g = factors[name]
            g.create_dataset("length", data=np.array(self.lengths, np.int32))
            for part in ("input", "grad_output"):
                self._fill_padding(g[part])

    def _check(self, group, n):
        for name in group or ():
            if group[name].shape[0] != n:
                raise DumpError(f"{group[name].name} holds {group[name].shape[0]} samples, expected {n}")

    @staticmethod
    def _fill_padding(data):
        # A chunk that was never written reads as zeros, and readers refuse it because it could as
        # well be lost data: padding behind samples written before a longer one came is written.
        step = data.chunks[1]
        for i in range(data.shape[0]):
            for t in range(0, data.shape[1], step):
                end = min(t + step, data.shape[1])
                if not data[i, t:end].any():
                    data[i, t:end] = np.zeros((end - t, data.shape[2]), data.dtype)


def _lost(values, stored):
    """The share of a tensor's norm that rounding took. Below 6e-8 float16 knows only zero."""
    norm = np.linalg.norm(values.astype(np.float64))
    return np.linalg.norm(values - stored.astype(np.float64)) / norm if norm > 0 else 0.0


def _place(tensor):
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device


# Gradients below this share of the largest are rounding of float32 passes, whatever their scale.
_NOISE = 2.0 ** -20
# A largest number this big leaves float16 the range that it needs below; else it may lose so much.
_ROOMY, _MOST_TAKEN = 2.0 ** -6, 8


def _shared_scale(x, gradients):
    """The power of two for an input that several parameters share, as _balanced does for one; None
    where their gradients are too different in size for one scale in float16."""
    mx = float(x.abs().max()) if x.numel() else 0.0
    sizes = [float(g.abs().max()) if g.numel() else 0.0 for g in gradients]
    most = max(sizes)
    if mx <= 0 or most <= 0:
        return 1.0
    least = min(s for s in sizes if s > _NOISE * most)
    shift = min(round(0.5 * float(np.log2(mx) - 0.5 * (np.log2(least) + np.log2(most)))),
                int(np.floor(np.log2(65504 / most))))
    scale = 2.0 ** shift
    if mx / scale > 65504:
        return None
    for sharing, alone in ((mx / scale, np.sqrt(mx * most)), (least * scale, np.sqrt(mx * least))):
        if sharing < _ROOMY and sharing * _MOST_TAKEN < alone:
            return None
    return scale


def _balanced(x, g):
    """Moves a power of two between the factors so that small gradients survive float16; the product
    is unchanged."""
    mx, mg = float(x.abs().max()) if x.numel() else 0.0, float(g.abs().max()) if g.numel() else 0.0
    if mx <= 0 or mg <= 0:
        return x, g
    s = 2.0 ** round(0.5 * float(np.log2(mx / mg)))
    return x / s, g * s
