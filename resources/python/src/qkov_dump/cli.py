# SPDX-License-Identifier: GPL-3.0-or-later
"""qkov-dump: collect | tensorscope | safetensors."""

import argparse
import json
import sys

from .writer import DumpError


def _samples(path, tokenizer, limit, max_tokens):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                sample = json.loads(line)
            except json.JSONDecodeError as error:
                raise DumpError(f"{path}: line {number}: is not JSON ({error.msg})") from error
            ids = sample.get("input_ids")
            if ids is None:
                if tokenizer is None or "text" not in sample:
                    raise DumpError(f"{path}: line {number}: has neither input_ids nor a text that could be tokenised")
                ids = tokenizer(sample["text"])["input_ids"]
            labels = sample.get("labels") or list(ids)
            if len(labels) != len(ids) or len(ids) < 2:
                raise DumpError(f"{path}: line {number}: has {len(ids)} input_ids and {len(labels)} labels; "
                                "needs equal numbers, two at least")
            ids, labels = ids[:max_tokens], labels[:max_tokens]
            yield {"id": str(sample.get("id", number)), "text": sample.get("text", ""),
                   "group": sample.get("group", ""), "input_ids": ids, "labels": labels}
            limit -= 1
            if limit == 0:
                return


def _depends_on_batch(config):
    """Rotary scalings that look at the batch's length, so that padding changes what a sample gets."""
    scaling = getattr(config, "rope_scaling", None) or {}
    return scaling.get("rope_type", scaling.get("type")) in ("dynamic", "longrope", "su")


def _collect(args):
    import torch
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise DumpError(f"transformers can't be loaded ({error}); install qkov-dump[collect], or record "
                        "from your own loop") from error

    from .recorder import Recorder, causal_lm_losses
    from .writer import DumpWriter, ModelInfo

    model = AutoModelForCausalLM.from_pretrained(args.model).float().eval().to(args.device)
    model.requires_grad_(False)
    model.get_input_embeddings().register_forward_hook(lambda _m, _i, out: out.requires_grad_())
    # What config.json leaves out has the model class's defaults; the file itself is kept as it is.
    info = ModelInfo(model.config.to_dict(), name=args.model.rstrip("/").rsplit("/", 1)[-1])
    with open(f"{args.model}/config.json", encoding="utf-8") as f:
        info.config_json = f.read()
    try:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
    except Exception:  # no tokenizer: samples must bring input_ids
        tokenizer = None
    recorder = Recorder(model, args.parameter or None)
    if _depends_on_batch(model.config) and args.batch_size > 1:
        print("this model's rotary positions depend on the longest sample of a batch: one sample at a time",
              file=sys.stderr)
        args.batch_size = 1
    with DumpWriter(args.out, info, args.storage, args.dtype, args.include_bias) as dump:
        for spec in args.task:
            name, _, path = spec.partition("=")
            if not path:
                raise DumpError(f"'{spec}' is not NAME=FILE.jsonl")
            samples = list(_samples(path, tokenizer, args.max_samples or -1, args.max_tokens))
            if not samples:
                raise DumpError(f"{path}: holds no samples")
            task = dump.task(name, args.loss, max(len(s["input_ids"]) for s in samples))
            for at in range(0, len(samples), args.batch_size):
                batch = samples[at:at + args.batch_size]
                longest = max(len(s["input_ids"]) for s in batch)
                pad = lambda key, fill: torch.tensor(
                    [s[key] + [fill] * (longest - len(s[key])) for s in batch], device=args.device)
                ids, labels = pad("input_ids", 0), pad("labels", -100)
                mask = torch.tensor([[1] * len(s["input_ids"]) + [0] * (longest - len(s["input_ids"]))
                                     for s in batch], device=args.device)
                with recorder:
                    losses = causal_lm_losses(model(ids, attention_mask=mask, use_cache=False).logits, labels,
                                              args.loss)
                recorder.backward(losses)
                task.append(recorder, mask, [s["id"] for s in batch], (labels[:, 1:] != -100).sum(1).tolist(),
                            losses.tolist(), [s["text"] for s in batch], [s["group"] for s in batch], ids)
                print(f"{name}: {at + len(batch)} of {len(samples)}", file=sys.stderr)


def _tensorscope(args):
    from .convert import convert_tensorscope, load_pickle
    from .writer import ModelInfo

    cache = load_pickle(args.cache)
    if not isinstance(cache, dict) or "contribution_cache" not in cache:
        raise DumpError(f"{args.cache}: has no 'contribution_cache'; save "
                        "{'contribution_cache': …, 'gradients': gradient_manager.simple_storage}")
    with open(args.config, encoding="utf-8") as f:
        info = ModelInfo(json.load(f))
    convert_tensorscope(cache["contribution_cache"], args.out, info, cache.get("gradients"),
                        cache.get("n_tokens"), cache.get("texts"), args.dtype)


def _safetensors(args):
    from .convert import state_dict_to_safetensors

    names = state_dict_to_safetensors(args.source, args.out)
    print(f"{args.out}: {len(names)} tensors", file=sys.stderr)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="qkov-dump", description=__doc__)
    commands = parser.add_subparsers(required=True)

    p = commands.add_parser("collect", help="gradients of a transformers model, to a dump")
    p.add_argument("--model", required=True, help="model directory")
    p.add_argument("--task", required=True, action="append", metavar="NAME=FILE.jsonl")
    p.add_argument("--out", required=True)
    p.add_argument("--storage", choices=["factors", "dense"], default="factors")
    p.add_argument("--dtype", choices=["f16", "f32"], default="f16")
    p.add_argument("--loss", choices=["mean", "sum"], default="mean")
    p.add_argument("--include-bias", action="store_true")
    p.add_argument("--batch-size", type=int, default=8)
    p.add_argument("--max-samples", type=int, default=0)
    p.add_argument("--max-tokens", type=int, default=None)
    p.add_argument("--device", default="cpu")
    p.add_argument("--parameter", action="append", help="regular expression for weights to record")
    p.set_defaults(run=_collect)

    p = commands.add_parser("tensorscope", help="a saved TensorScope cache, to a dump")
    p.add_argument("cache")
    p.add_argument("--config", required=True, help="the model's config.json")
    p.add_argument("--out", required=True)
    p.add_argument("--dtype", choices=["f16", "f32"], default="f32")
    p.set_defaults(run=_tensorscope)

    p = commands.add_parser("safetensors", help="a .pt or .bin state dict, to safetensors")
    p.add_argument("source")
    p.add_argument("--out", required=True)
    p.set_defaults(run=_safetensors)

    args = parser.parse_args(argv)
    try:
        args.run(args)
    except (DumpError, OSError) as error:
        print(f"qkov-dump: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
