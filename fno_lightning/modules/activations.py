"""What becomes of a network's intermediate results between the forward and the backward pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fno_lightning.layers import ChannelMLP, FNOBlock
from fno_lightning.models import FNO

Activations: TypeAlias = Literal["auto", "keep", "recompute", "offload"]


def set_recomputation(network: nn.Module, activations: Activations) -> None:
    """Makes an :class:`~fno_lightning.models.FNO` evaluate its blocks again in the backward pass, if asked to."""
    if isinstance(network, FNO):
        network.recompute = activations == "recompute"
    for module in network.modules():
        if activations == "keep" and isinstance(module, ChannelMLP | FNOBlock):
            module.tiling = False


def apply_network(network: nn.Module, x: Tensor, activations: Activations) -> Tensor:
    """Applies a network; ``recompute`` evaluates one that is no FNO again as a whole."""
    if activations == "recompute" and torch.is_grad_enabled() and not isinstance(network, FNO):
        result: Tensor = checkpoint(network, x, use_reentrant=False)
    else:
        result = network(x)
    return result


def kept_activations(activations: Activations, device: torch.device) -> AbstractContextManager[object]:
    """A context that keeps intermediate results in main memory (page-locked) with ``offload``."""
    if activations != "offload":
        return nullcontext()
    return torch.autograd.graph.save_on_cpu(pin_memory=device.type == "cuda")
