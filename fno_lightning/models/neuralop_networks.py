"""neuralop's networks whose constructors or outputs a configuration cannot use, as maps between fields on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.class_path import import_class


def _neuralop(name: str, **arguments: Any) -> nn.Module:
    network: nn.Module = import_class(f"neuralop.models.{name}", nn.Module, "network")(**arguments)
    return network


class NeuralopSFNO(nn.Module):
    """neuralop's spherical FNO (arXiv:2306.03838), whose own constructor has no signature to reload it by.

    The axes of the grid are latitude and longitude; the points are taken as equiangular.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Degrees and orders to keep.
        hidden_channels: Channels of the blocks.
        **kwargs: Other arguments of neuralop's FNO, e.g. ``n_layers``.

    Raises:
        ValueError: if neuralop or torch-harmonics is not installed.
    """

    def __init__(
        self, in_channels: int, out_channels: int, n_modes: Sequence[int], hidden_channels: int, **kwargs: Any
    ) -> None:
        super().__init__()
        arguments = {"in_channels": in_channels, "out_channels": out_channels, "hidden_channels": hidden_channels}
        self.operator = _neuralop("SFNO", n_modes=tuple(n_modes), **arguments, **kwargs)

    def forward(self, x: Float[Tensor, "batch in_channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the operator."""
        output: Tensor = self.operator(x)
        return output


class NeuralopCODANO(nn.Module):
    """neuralop's codomain attention operator (arXiv:2403.12553), each input channel a variable of its own.

    It has as many variables at its end as at its start; a linear layer over the channels turns them into the output.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Modes to keep along each axis, both signs counted, in every layer.
        n_layers: Number of attention layers.
        n_heads: Attention heads of each layer.
        **kwargs: Other arguments of neuralop's network, e.g. ``hidden_variable_codimension``.

    Raises:
        ValueError: if neuralop is not installed.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int],
        n_layers: int = 4,
        n_heads: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        scales: dict[str, Any] = {"per_layer_scaling_factors": [[1] * len(n_modes)] * n_layers}
        scales |= {"attention_scaling_factors": [1] * n_layers}  # it takes the length of these before their defaults
        lists: dict[str, Any] = {
            "n_layers": n_layers,
            "n_modes": [list(n_modes)] * n_layers,
            "n_heads": [n_heads] * n_layers,
        }
        self.operator = _neuralop("CODANO", **{**lists, **scales, **kwargs})
        self.head = nn.Linear(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "batch in_channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the operator."""
        output: Tensor = self.head(self.operator(x).movedim(1, -1))
        return output.movedim(-1, 1)


class NeuralopGINO(nn.Module):
    """neuralop's geometry-informed operator (arXiv:2309.00583) on the points of a grid, which it sees as a cloud.

    Kernel integrals over neighbours lead from the points to a coarser latent grid, where Fourier layers act, and back.
    On data that are on a grid it is a baseline; geometry is what it is for.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Modes to keep along each axis of the latent grid, both signs counted.
        latent_grid: Points of the latent grid along each axis.
        radius: Radius of the neighbourhoods in the unit box; ``None``: two spacings of the latent grid.
        **kwargs: Other arguments of neuralop's network, e.g. ``fno_hidden_channels``.

    Raises:
        ValueError: if neuralop is not installed.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int],
        latent_grid: Sequence[int],
        radius: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.latent_grid = tuple(latent_grid)
        radius = 2.0 / min(latent_grid) if radius is None else radius
        options = {"gno_coord_dim": len(n_modes), "in_gno_radius": radius, "out_gno_radius": radius, **_PLAIN}
        arguments: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "fno_n_modes": tuple(n_modes),
        }
        arguments["fno_in_channels"] = in_channels  # the kernel multiplies the values at the points, channel by channel
        self.operator = _neuralop("GINO", **{**arguments, **options, **kwargs})

    def forward(self, x: Float[Tensor, "batch in_channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the operator to the values at the points of the grid."""
        points = _points(x.shape[2:], x).flatten(0, -2)[None]
        latent = _points(self.latent_grid, x)[None]
        output: Tensor = self.operator(points, latent, points, x=x.flatten(2).mT)
        return torch.unflatten(output.mT, 2, x.shape[2:])


class NeuralopFNOGNO(nn.Module):
    """neuralop's FNO with a kernel integral over neighbours as its last layer, on the points of a grid.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Modes to keep along each axis, both signs counted.
        radius: Radius of the neighbourhoods in the unit box.
        **kwargs: Other arguments of neuralop's network, e.g. ``fno_hidden_channels``.

    Raises:
        ValueError: if neuralop is not installed.
    """

    def __init__(
        self, in_channels: int, out_channels: int, n_modes: Sequence[int], radius: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__()
        options = {"gno_coord_dim": len(n_modes), "gno_radius": radius, "gno_batched": True, **_PLAIN}
        arguments = {"in_channels": in_channels, "out_channels": out_channels, "fno_n_modes": tuple(n_modes)}
        self.operator = _neuralop("FNOGNO", **{**arguments, **options, **kwargs})

    def forward(self, x: Float[Tensor, "batch in_channel *grid"]) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply the operator, with the grid as input and as output points."""
        points = _points(x.shape[2:], x)
        output: Tensor = self.operator(points, points.flatten(0, -2), x.movedim(1, -1))
        return torch.unflatten(output.mT, 2, x.shape[2:])


_PLAIN = {"gno_use_open3d": False, "gno_use_torch_scatter": False}
"""Options without which two further packages are needed."""


def _points(grid: Sequence[int], like: Tensor) -> Float[Tensor, "*grid axis"]:
    """Return the points of a grid in the unit box, each axis from 0 to 1 without the end."""
    axes = [torch.arange(n, device=like.device, dtype=like.dtype) / n for n in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
