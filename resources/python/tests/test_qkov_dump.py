# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs with pytest, or alone: python tests/test_qkov_dump.py. Needs transformers."""

import json
import os
import struct
import sys
import tempfile

import h5py
import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "src"))

from qkov_dump import (DumpError, DumpWriter, ModelInfo, Recorder, causal_lm_losses,
                       convert_tensorscope, state_dict_to_safetensors)

LENGTHS = [7, 3, 5, 2]


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=16, n_embd=12, n_layer=2, n_head=3)).eval()


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(2)
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=20, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2,
                                        max_position_embeddings=16)).eval()


def samples(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 40, (n,), generator=generator) for n in LENGTHS]


def batch(ids):
    longest = max(len(i) for i in ids)
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    labels = torch.full_like(tokens, -100)
    mask = torch.zeros_like(tokens)
    for b, i in enumerate(ids):
        tokens[b, :len(i)], labels[b, :len(i)], mask[b, :len(i)] = i, i, 1
    return tokens, labels, mask


def expected(model, ids, name, reduction):
    """One sample at a time, by autograd."""
    gradients = []
    for i in ids:
        model.zero_grad()
        causal_lm_losses(model(i[None]).logits, i[None], reduction).sum().backward()
        gradients.append(dict(model.named_parameters())[name].grad.clone().numpy())
    model.zero_grad()
    return np.stack(gradients)


def write(model, path, storage, dtype="f32", reduction="mean", include_bias=False, batches=(slice(1, 4), slice(0, 1))):
    recorder = Recorder(model)
    with DumpWriter(path, ModelInfo(model.config.to_dict(), "tiny"), storage, dtype, include_bias) as dump:
        for seed, name in ((3, "a"), (4, "b")):
            task = dump.task(name, reduction)
            for part in batches:  # the longest sample comes last: padding has to grow
                tokens, labels, mask = batch(samples(seed)[part])
                with recorder:
                    losses = causal_lm_losses(model(tokens, attention_mask=mask).logits, labels, reduction)
                recorder.backward(losses)
                task.append(recorder, mask, [f"{name}-{len(task.ids) + k}" for k in range(len(mask))],
                            (labels[:, 1:] != -100).sum(1).tolist(), losses.tolist())


def check(model, storage, reduction):
    order = [1, 2, 3, 0]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dump.h5")
        write(model, path, storage, reduction=reduction)
        with h5py.File(path) as f:
            assert f.attrs["format"] == "qkov-dump" and f.attrs["format_version"] == 1
            for seed, task in ((3, "a"), (4, "b")):
                ids = [samples(seed)[k] for k in order]
                group = f[f"tasks/{task}"]
                assert list(group["samples/n_tokens"]) == [len(i) - 1 for i in ids]
                names = list(group["factors" if storage == "factors" else "gradients"])
                assert names == sorted(Recorder(model).modules)
                for name in names:
                    want = expected(model, ids, name, reduction)
                    if storage == "dense":
                        got = group[f"gradients/{name}"][:]
                    else:
                        x, g = group[f"factors/{name}/input"][:], group[f"factors/{name}/grad_output"][:]
                        assert list(group[f"factors/{name}/length"]) == [len(i) for i in ids]
                        conv = want.shape[1:] == (x.shape[2], g.shape[2]) and model.config.model_type == "gpt2"
                        got = np.einsum("nti,nto->nio" if conv else "nti,nto->noi", x, g)
                    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max(), (task, name)


def test_gpt2_factors():
    check(gpt2(), "factors", "mean")


def test_gpt2_dense_sum():
    check(gpt2(), "dense", "sum")


def test_llama_gqa():
    check(llama(), "factors", "sum")
    check(llama(), "dense", "mean")


def same_dataset(f, a, b):
    return h5py.h5o.get_info(f[a].id).addr == h5py.h5o.get_info(f[b].id).addr


def test_a_common_input_is_stored_once():
    model = llama()
    base = "model.layers.1.self_attn."
    path_of = lambda name: f"tasks/a/factors/{base}{name}_proj.weight/input"
    for dtype, limit in (("f32", 1e-5), ("f16", 2e-3)):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "dump.h5")
            write(model, path, "factors", dtype)
            with h5py.File(path) as f:
                assert same_dataset(f, path_of("q"), path_of("k")) and same_dataset(f, path_of("q"), path_of("v"))
                assert not same_dataset(f, path_of("q"), path_of("o"))
                for name in "qkv":
                    group = f[f"tasks/a/factors/{base}{name}_proj.weight"]
                    got = np.einsum("nti,nto->noi", *(group[part][:].astype(np.float64) for part in ("input", "grad_output")))
                    want = expected(model, [samples(3)[k] for k in (1, 2, 3, 0)], f"{base}{name}_proj.weight", "mean")
                    for have, right in zip(got, want):
                        assert np.abs(have - right).max() <= limit * np.abs(want).max(), (dtype, name)


def test_inputs_part_when_they_must():
    """An input of its own in a later batch, and gradients too different in size for one scale."""
    from types import SimpleNamespace
    from qkov_dump.recorder import Factors
    torch.manual_seed(3)
    first, second = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = torch.ones(2, 3)

    def records(xk, size, names=("q.weight", "k.weight")):
        g = {n: torch.randn(2, 3, 5) * (size if n == "k.weight" else 1e-4) for n in names}
        x = {"q.weight": first, "k.weight": xk}
        return {n: Factors(x[n], g[n], False) for n in names}

    for batches, shared in (([records(first, 1e-4), records(first, 2e-4)], True),
                            ([records(first, 1e-4), records(second, 1e-4)], False),
                            ([records(first, 1e-4), records(first, 1e-9)], False)):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "dump.h5")
            with DumpWriter(path, ModelInfo(llama().config.to_dict()), "factors", "f16") as dump:
                task = dump.task("a")
                for i, factors in enumerate(batches):
                    recorder = SimpleNamespace(factors=lambda: factors, modules=dict.fromkeys(factors))
                    task.append(recorder, mask, [f"{i}-{b}" for b in range(2)], [2, 2])
            with h5py.File(path) as f:
                assert same_dataset(f, "tasks/a/factors/q.weight/input", "tasks/a/factors/k.weight/input") == shared
                for name in ("q.weight", "k.weight"):
                    group = f[f"tasks/a/factors/{name}"]
                    got = np.einsum("nti,nto->noi", *(group[p][:].astype(np.float64) for p in ("input", "grad_output")))
                    want = np.concatenate([np.einsum("nti,nto->noi", r[name].input, r[name].grad_output) for r in batches])
                    for have, right in zip(got, want):
                        assert np.abs(have - right).max() <= 2e-3 * np.abs(right).max(), name


def test_left_padding_is_the_same():
    model = gpt2()
    recorder = Recorder(model)
    ids = samples(3)[1]
    with recorder:
        losses = causal_lm_losses(model(ids[None]).logits, ids[None])
    recorder.backward(losses)
    name = next(iter(recorder.modules))
    plain = recorder.factors()[name]
    padded = torch.cat([torch.zeros(2, dtype=torch.long), ids])
    mask = torch.tensor([[0, 0] + [1] * len(ids)])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    labels = torch.where(mask.bool(), padded[None], torch.tensor(-100))
    labels[0, 2] = -100  # the first real token has nothing before it to be predicted from
    with recorder:
        losses = causal_lm_losses(model(padded[None], attention_mask=mask, position_ids=positions).logits, labels)
    recorder.backward(losses)
    left = recorder.factors()[name]
    assert torch.allclose(left.grad_output[0][mask[0].bool()], plain.grad_output[0], atol=1e-6)


def test_rotary_scalings_that_see_the_batch():
    from transformers import LlamaConfig
    from qkov_dump.cli import _depends_on_batch
    assert _depends_on_batch(LlamaConfig(rope_scaling={"rope_type": "dynamic", "factor": 2.0}))
    assert not _depends_on_batch(LlamaConfig(rope_scaling={"rope_type": "linear", "factor": 2.0}))
    assert not _depends_on_batch(LlamaConfig()) and not _depends_on_batch(gpt2().config)


def test_command():
    """qkov-dump collect on a saved model: the same losses as the model's own."""
    from qkov_dump.cli import main
    with tempfile.TemporaryDirectory() as folder:
        model = llama()
        model.save_pretrained(folder)
        ids = [s.tolist() for s in samples(5)]
        path, out = os.path.join(folder, "a.jsonl"), os.path.join(folder, "dump.h5")
        with open(path, "w") as f:
            for k, i in enumerate(ids):
                f.write(json.dumps({"id": f"s{k}", "input_ids": i, "group": "g", "text": "x"}) + "\n")
        assert main(["collect", "--model", folder, "--task", f"a={path}", "--out", out, "--dtype", "f32", "--batch-size", "3"]) == 0
        with h5py.File(out) as f:
            losses = f["tasks/a/samples/loss"][:]
            assert [x.decode() for x in f["tasks/a/samples/id"][:]] == ["s0", "s1", "s2", "s3"]
        for i, loss in zip(ids, losses):
            t = torch.tensor([i])
            assert abs(model(t, labels=t).loss.item() - loss) <= 1e-5 * loss
        os.unlink(out)
        with open(path, "a") as f:
            f.write("{broken\n")
        assert main(["collect", "--model", folder, "--task", f"a={path}", "--out", out]) == 3
        assert not os.path.exists(out)


def test_refusals():
    model = gpt2()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dump.h5")
        try:
            with DumpWriter(path, ModelInfo(model.config.to_dict())) as dump:
                dump.task("a")
        except DumpError as error:
            assert "no samples" in str(error)
        else:
            raise AssertionError("an empty task was written")
        assert os.listdir(folder) == []
    try:
        Recorder(torch.nn.Linear(2, 2))
    except ValueError as error:
        assert "patterns" in str(error)
    else:
        raise AssertionError("a model without attention was accepted")


def test_model_info_knows_each_family():
    base = dict(num_hidden_layers=2, num_attention_heads=4, hidden_size=16)
    for more, kv, d in ((dict(model_type="falcon"), 1, 4),
                        (dict(model_type="falcon", multi_query=False), 4, 4),
                        (dict(model_type="falcon", multi_query=True, num_kv_heads=4), 1, 4),
                        (dict(model_type="falcon", new_decoder_architecture=True, num_kv_heads=2), 2, 4),
                        (dict(model_type="gpt_bigcode"), 1, 4),
                        (dict(model_type="gpt_bigcode", multi_query=False), 4, 4),
                        (dict(model_type="mpt", attn_config=dict(kv_n_heads=2)), 2, 4),
                        (dict(model_type="llama", num_key_value_heads=2, head_dim=8), 2, 8)):
        info = ModelInfo(dict(base, **more))
        assert (info.num_kv_heads, info.head_dim) == (kv, d), more


def test_small_gradients_are_not_rounded_to_nothing():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dump.h5")
        config = gpt2().config.to_dict()
        for scale, lost in ((1e-3, False), (1e-8, True)):
            try:
                with DumpWriter(path, ModelInfo(config), "dense", "f16") as dump:
                    task = dump.task("a")
                    task.add_gradients("transformer.h.0.attn.c_attn.weight", 0, scale * np.ones((12, 36), np.float32))
                    task.ids, task.n_tokens, task.lengths = ["x"], [1], [0]
                    task.losses, task.texts, task.groups = [float("nan")], [""], [""]
            except DumpError as error:
                assert lost and "float16" in str(error), error
            else:
                assert not lost
        # Factors are balanced first: tiny gradients survive.
        model = gpt2()
        for p in model.parameters():
            p.requires_grad_(True)
        recorder = Recorder(model)
        tokens, labels, mask = batch(samples(3))
        with DumpWriter(path, ModelInfo(config), "factors", "f16") as dump:
            with recorder:
                losses = 1e-7 * causal_lm_losses(model(tokens, attention_mask=mask).logits, labels)
            recorder.backward(losses)
            dump.task("a").append(recorder, mask, list("abcd"), [1] * 4)
        name = "transformer.h.1.attn.c_proj.weight"
        want = 1e-7 * expected(model, samples(3), name, "mean")
        with h5py.File(path) as f:
            x, g = (f[f"tasks/a/factors/{name}/{part}"][:].astype(np.float64) for part in ("input", "grad_output"))
        got = np.einsum("nti,nto->nio", x, g)
        assert np.linalg.norm(got - want) <= 2e-3 * np.linalg.norm(want)


def test_tensorscope():
    model = gpt2()
    cache, store, ids = {"a": {}}, {"a": {}}, samples(3)
    names = sorted(Recorder(model).modules)
    for i, s in enumerate(ids):
        key = f"a_{i}"
        cache["a"][key] = {}
        for name in names:
            g = torch.from_numpy(expected(model, [s], name, "mean")[0])
            cache["a"][key][name] = g.pow(2) / (len(s) - 1)
            store["a"][f"{key}_{name}"] = {"gradient": g, "sample_id": i, "param_name": name, "shape": tuple(g.shape)}
    del store["a"][f"a_2_{names[0]}"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dump.h5")
        convert_tensorscope(cache, path, ModelInfo(model.config.to_dict()), store)
        with h5py.File(path) as f:
            group = f["tasks/a"]
            assert list(group["samples/n_tokens"]) == [n - 1 for n in LENGTHS]
            assert names[0] not in group["gradients"] and names[1] in group["gradients"]
            assert group[f"contributions/{names[0]}"].attrs["definition"] == "g^2/tokens"
        try:
            convert_tensorscope(cache, path, ModelInfo(model.config.to_dict()))
        except DumpError as error:
            assert "n_tokens" in str(error)
        else:
            raise AssertionError("unknown token counts were accepted")


def test_tensorscope_arrangements():
    model = gpt2()
    name = sorted(Recorder(model).modules)[0]
    stacked = torch.stack([torch.from_numpy(expected(model, [s], name, "mean")[0]) for s in samples(3)])
    tokens = {f"a_{i}": n - 1 for i, n in enumerate(LENGTHS)}
    contributions = stacked.pow(2) / torch.tensor([n - 1 for n in LENGTHS])[:, None, None]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dump.h5")
        for cache, store in (({"a": {f"a_{i}": {name: c} for i, c in enumerate(contributions)}}, None),
                             ({f"a_{i}": {name: c} for i, c in enumerate(contributions)}, None),
                             ({"a": {name: contributions}}, {"a": {name: stacked}})):
            convert_tensorscope(cache, path, ModelInfo(model.config.to_dict()), store, None if store else tokens)
            with h5py.File(path) as f:
                results.append(f[f"tasks/a/contributions/{name}"][:])
                assert list(f["tasks/a/samples/n_tokens"]) == [n - 1 for n in LENGTHS]
                if store:
                    assert (f[f"tasks/a/gradients/{name}"][:] == stacked.numpy()).all()
        assert all((r == contributions.numpy()).all() for r in results)
        try:
            convert_tensorscope({"a": {"x": 3}}, path, ModelInfo(model.config.to_dict()))
        except DumpError as error:
            assert "tensors" in str(error)
        else:
            raise AssertionError("a cache of numbers was accepted")


def test_safetensors():
    state = {"b": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3), "a": torch.ones(3), "empty": torch.zeros(0, 4)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "m.pt"), os.path.join(folder, "m.safetensors")
        torch.save(state, source)
        state_dict_to_safetensors(source, target)
        raw = open(target, "rb").read()
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:8 + length])
        assert header["b"]["dtype"] == "BF16" and header["b"]["shape"] == [2, 3]
        at = header["a"]["data_offsets"]
        assert np.frombuffer(raw[8 + length + at[0]:8 + length + at[1]], np.float32).tolist() == [1, 1, 1]


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(f"{name}: ok")
