# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes dumps (per-sample gradients of attention projections) that QKOV Studio opens."""

from .attention import attention_modules
from .convert import convert_tensorscope, state_dict_to_safetensors
from .recorder import Recorder, causal_lm_losses
from .writer import DumpError, DumpWriter, ModelInfo

__version__ = "0.1.0"
__all__ = ["attention_modules", "convert_tensorscope", "state_dict_to_safetensors", "Recorder",
           "causal_lm_losses", "DumpError", "DumpWriter", "ModelInfo"]
