"""Activation checkpointing and offloading, for any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fno_lightning.layers import ChannelMLP, FNOBlock
from fno_lightning.modules.ensemble import EnsembleNetwork

ActivationCheckpointing: TypeAlias = Literal["auto", "none", "full", "offload"]


def checkpoint_activations(network: nn.Module, mode: ActivationCheckpointing) -> None:
    """Choose, once, what a network keeps for its backward pass; names and values of its weights stay the same.

    The modules in question get a ``forward`` of their own, which calls the original one.

    Args:
        network: Any network, before it is compiled.
        mode: ``none`` keeps everything; ``auto`` too, except within tiles of points, which are as fast evaluated again;
            ``full`` keeps only the inputs of each of the :func:`repeated_blocks` and evaluates the block again, of an
            ensemble the input of the network, whose blocks hold the weights of a member while it is evaluated;
            ``offload`` keeps everything in main memory, page-locked if the network is on a CUDA device.

    A block that is evaluated again draws the same random numbers and leaves the running statistics of batch norms as
    they are. The state of random numbers cannot be read in a CUDA graph: there a block with dropout (a module of
    PyTorch's, or a probability in an attribute ``dropout``) fails to be captured, and no other block may draw any.
    """
    if mode == "none":
        for module in network.modules():
            if isinstance(module, ChannelMLP | FNOBlock):
                module.tiling = False
    elif mode == "full":
        for block in [network] if isinstance(network, EnsembleNetwork) else repeated_blocks(network):
            block.forward = partial(evaluated_again, block, block.forward)
    elif mode == "offload":
        network.forward = partial(_offloaded, network.forward)


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the outermost members of ModuleLists and Sequentials that consist of modules themselves.

    A member without submodules, such as a convolution, keeps little more than its input anyway. A network that has no
    such members is one block.
    """
    return list(dict.fromkeys(_composite_members(network))) or [network]


def _composite_members(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        is_member = isinstance(module, nn.ModuleList | nn.Sequential) and not isinstance(child, nn.ModuleList)
        if is_member and any(True for _ in child.children()):
            yield child
        else:
            yield from _composite_members(child)


def evaluated_again(block: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of a block, such as its ``forward``; if there are gradients, keep only its arguments for them."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    if torch.compiler.is_compiling():  # which sees to random numbers and running statistics by itself
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return checkpoint(
        forward,
        *args,
        use_reentrant=False,
        preserve_rng_state=_has_dropout(block) or not _is_capturing(),
        context_fn=lambda: (nullcontext(), _KeptRunningStatistics(block)),
        **kwargs,
    )


class _KeptRunningStatistics(AbstractContextManager[None]):
    """A context in which batch norms do not count; entered again for derivatives of derivatives."""

    def __init__(self, block: nn.Module) -> None:
        self.norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, n_batches) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, n_batches


def _is_capturing() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def dropout_probability(module: nn.Module) -> float:
    """Return the probability with which a module itself drops values: PyTorch's own, or an attribute ``dropout``."""
    p = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else getattr(module, "dropout", 0.0)
    return float(p) if isinstance(p, int | float) else 0.0


def _has_dropout(block: nn.Module) -> bool:
    return any(module.training and dropout_probability(module) > 0 for module in block.modules())


# not compiled, for hooks on saved tensors are no part of a graph; the network that it calls is
@torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
def _offloaded(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    pin_memory = any(isinstance(value, Tensor) and value.is_cuda for value in args)
    with torch.autograd.graph.save_on_cpu(pin_memory=pin_memory):
        return forward(*args, **kwargs)
