# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact per-sample gradients from batched passes.

The gradient of one sample's loss with respect to a linear layer's weight is
Σ_t grad_output_t ⊗ input_t over that sample's tokens. Both factors of all samples of a batch come
out of one forward and one backward pass, because samples don't interact.
"""

from dataclasses import dataclass

import torch

from .attention import attention_modules, is_conv1d


@dataclass
class Factors:
    """One projection's record of a batch."""
    input: torch.Tensor        # [batch, tokens, d_in]
    grad_output: torch.Tensor  # [batch, tokens, d_out]
    conv1d: bool               # weight stored [in, out]


class Recorder:
    """Records the attention projections of `model`.

        recorder = Recorder(model)
        with recorder:
            logits = model(input_ids, attention_mask=mask).logits
            losses = causal_lm_losses(logits, labels)   # one per sample
        recorder.backward(losses)
        task.append(recorder, attention_mask=mask, ids=…)

    Put the model in eval mode first: with dropout, gradients are random.
    """

    def __init__(self, model, patterns=None):
        self.model = model
        self.modules = attention_modules(model, patterns)
        if not self.modules:
            raise ValueError("no attention projections were found in this model; pass patterns=[…] "
                             "with regular expressions for the names of their weights")
        self._handles = []
        self._inputs = {}
        self._grads = {}

    def __enter__(self):
        self._inputs.clear()
        self._grads.clear()
        for name, module in self.modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_):
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, name):
        def hook(_module, inputs, output):
            if name in self._inputs:
                raise RuntimeError(f"{name} ran twice in one forward pass; its gradient would be "
                                   "the sum of both, which this recorder doesn't form")
            if not output.requires_grad:
                raise RuntimeError(f"the output of {name} needs no gradient; run the forward pass "
                                   "with gradients enabled and some input or weight requiring them")
            self._inputs[name] = inputs[0].detach()
            output.register_hook(lambda grad: self._grads.__setitem__(name, grad.detach()))
        return hook

    def backward(self, losses):
        """losses: [batch], the loss of each sample by itself. Not their mean: a mean would divide
        every sample's gradient by the batch size."""
        if losses.dim() != 1:
            raise ValueError("backward needs one loss per sample, shape [batch]")
        inputs = [p for p in self.model.parameters() if p.requires_grad]
        losses.sum().backward()
        for p in inputs:
            p.grad = None
        missing = self._inputs.keys() - self._grads.keys()
        if missing:
            raise RuntimeError("no gradient reached " + ", ".join(sorted(missing)))

    def factors(self):
        """{parameter name: Factors} of the last batch."""
        return {name: Factors(self._inputs[name], self._grads[name], is_conv1d(self.modules[name]))
                for name in self.modules if name in self._grads}


def causal_lm_losses(logits, labels, reduction="mean"):
    """Loss of each sample: cross-entropy of the next token, over labels other than −100.

    logits: [batch, tokens, vocabulary]; labels: [batch, tokens]; returns [batch]. With padding on
    the left, give the first real token the label −100: nothing real stands before it.
    """
    targets = labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2).float() if logits.dtype in (torch.float16, torch.bfloat16)
        else logits[:, :-1].transpose(1, 2),
        targets, ignore_index=-100, reduction="none").sum(1)
    if reduction == "sum":
        return losses
    if reduction != "mean":
        raise ValueError("reduction is 'mean' or 'sum'")
    return losses / (targets != -100).sum(1).clamp(min=1)


def dense_gradient(input, grad_output, conv1d):
    """Σ_t of one sample: [out, in], or [in, out] for Conv1D. Factors [tokens, d]."""
    return input.T @ grad_output if conv1d else grad_output.T @ input
