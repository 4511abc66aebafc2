"""What the networks of other libraries need beside the arguments that they are given."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import partialmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.class_path import public_path

_CHANNELS_LAST = ("AFNO", "AViT", "ReFNO")
"""Networks of The Well whose input and output are ``(batch, *grid, channel)``."""

_FAULTS = {
    "the_well.benchmark.models.FNO": "; it needs neuraloperator 0.3.0: neuralop.models.FNO is the same network",
    "the_well.benchmark.models.TFNO": "; it needs neuraloperator 0.3.0: neuralop.models.TFNO is the same network",
}


def known_fault(network_class: type[nn.Module]) -> str:
    """Return what is known to keep a network from being built, and what to do, as the end of a message."""
    return _FAULTS.get(public_path(network_class), "")


def require_signature(network_class: type[nn.Module], class_path: str) -> None:
    """Check that a class has a constructor that the arguments in a checkpoint can be read by.

    Raises:
        ValueError: if it is a ``functools.partialmethod``, as that of neuralop's SFNO.
    """
    if isinstance(inspect.getattr_static(network_class, "__init__"), partialmethod):
        wrapped = {"neuralop.models.SFNO": "fno_lightning.models.NeuralopSFNO"}.get(class_path)
        raise ValueError(
            f"network.class_path {class_path!r} has a constructor without a signature, by which no checkpoint can be "
            f"read: {f'name {wrapped}' if wrapped else 'name a subclass with a constructor of its own'}"
        )


def library_arguments(network_class: type[nn.Module], grid: Sequence[int]) -> Mapping[str, Any]:
    """Return arguments that a library's networks have under names of its own, and defaults that do not hold.

    neuralop's UNO adds channels of different numbers by default, and its LocalNO multiplies the kernels of the wrong
    axes unless the spacings of all axes are equal, so lengths are told to it that make them so.

    Args:
        network_class: Class of the network.
        grid: Shape of the network's grid.
    """
    library = network_class.__module__.partition(".")[0]
    if library == "neuralop":
        spacing = 2.0 ** -round(math.log2(min(grid) / 2))  # a power of two: lengths over points are exactly equal
        lengths = [spacing * n for n in grid]
        defaults = {"channel_mlp_skip": "linear"} if public_path(network_class) == "neuralop.models.UNO" else {}
        return {"default_in_shape": list(grid), "domain_length": lengths, **defaults}
    if library == "physicsnemo":
        return {"dimension": len(grid), "inp_shape": list(grid)}
    if library == "the_well":
        return {"spatial_resolution": tuple(grid)}  # ReFNO adds another tuple to it
    return {}


def takes_channels_last(network_class: type[nn.Module]) -> bool:
    """Whether a network of another library is known to take ``(batch, *grid, channel)``."""
    return network_class.__module__.startswith("the_well.") and network_class.__name__ in _CHANNELS_LAST


class ChannelsLast(nn.Module):
    """A network from ``(batch, *grid, channel)`` to ``(batch, *grid, channel)``, with the channels in front.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the network."""
        output: Tensor = self.network(x.movedim(1, -1))
        return output.movedim(-1, 1)


class FirstChannels(nn.Module):
    """A network that sees the first channels only.

    Args:
        network: The network.
        n_channels: Number of channels that it sees.
    """

    def __init__(self, network: nn.Module, n_channels: int) -> None:
        super().__init__()
        self.network = network
        self.n_channels = n_channels

    def forward(self, x: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the network."""
        output: Tensor = self.network(x[:, : self.n_channels])
        return output
