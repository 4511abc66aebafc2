"""Local operators, beside the global one of a spectral convolution; channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.channel_mlp import ChannelLinear
from fno_lightning.slabs import active_slabs, halo, whole_grid

LocalName = Literal["differential", "convolution"]


class DifferentialBranch(nn.Module):
    r"""Linear combination of the first derivatives along all axes, by central differences.

    .. math:: y = \sum_d W_d\, \frac{1}{\pi m_d} \frac{\partial x}{\partial \xi_d}

    with ξ from 0 to 1 over the domain and :math:`m_d` the number of modes of a spectral convolution along axis d, so
    that the shortest wave it keeps has a derivative as large as the wave itself. A spectral convolution cannot see what
    is shorter; its products with other channels, which advect, are left to the perceptron that follows. The differences
    converge under refinement of the grid, where a kernel of fixed entries would act on ever smaller scales.

    Args:
        channels: Channels of the input and of the output.
        n_modes: :math:`m_d` of each axis.
        periodic: Whether each axis is periodic. Over other ends the field continues with the value at the end.

    Reference: Liu-Schiaffini et al. 2024, arXiv:2402.16845, section 3.1, with all kernels of three points.
    """

    def __init__(self, channels: int, n_modes: Sequence[int], periodic: Sequence[bool]) -> None:
        super().__init__()
        self.n_modes = tuple(n_modes)
        self.periodic = tuple(periodic)
        self.mix = ChannelLinear(channels * len(self.n_modes), channels, bias=False)

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Apply the operator."""
        derivatives, grid = [], whole_grid(x.shape[1:-1])
        for axis, (n_modes, periodic) in enumerate(zip(self.n_modes, self.periodic, strict=True), start=1):
            n_points = x.shape[axis]
            padded = pad_axis(x, axis, 1, periodic=periodic)
            difference = padded.narrow(axis, 2, n_points) - padded.narrow(axis, 0, n_points)
            derivatives.append(difference * (grid[axis - 1] / (2 * math.pi * n_modes)))
        y: Tensor = self.mix(torch.cat(derivatives, dim=-1))
        return y


class ConvolutionBranch(nn.Module):
    """Convolution over neighbouring points, with a kernel of the same number of points on every grid.

    Args:
        channels: Channels of the input and of the output.
        kernel_size: Points of the kernel along each axis, an odd number.
        periodic: Whether each axis is periodic. Over other ends the field continues with the value at the end.

    Raises:
        ValueError: if ``kernel_size`` is not odd and positive, or there are more than three axes.
    """

    def __init__(self, channels: int, kernel_size: int, periodic: Sequence[bool]) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"the kernel of a local convolution has an odd number of points, got {kernel_size}")
        self.periodic = tuple(periodic)
        self.reach = kernel_size // 2
        convolutions = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
        if len(self.periodic) not in convolutions:
            raise ValueError(f"a local convolution has one to three axes, got {len(self.periodic)}")
        self.conv = convolutions[len(self.periodic)](channels, channels, kernel_size, bias=False)

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Apply the operator."""
        for axis, periodic in enumerate(self.periodic, start=1):
            x = pad_axis(x, axis, self.reach, periodic=periodic)
        y: Tensor = self.conv(x.movedim(-1, 1))
        return y.movedim(1, -1)


def pad_axis(x: Tensor, axis: int, width: int, *, periodic: bool) -> Tensor:
    """Continue a field over both ends of an axis: periodically, or with the values at the ends.

    A slab of a field that is split along the axis continues with the points of its neighbours.
    """
    if width == 0:
        return x
    n = x.shape[axis]
    before: Tensor | None = None
    after: Tensor | None = None
    slabs = active_slabs()
    if slabs is not None and slabs.axis == axis - 1:
        before, after = halo(x, axis, width, slabs, periodic=periodic)
    elif periodic:
        before, after = x.narrow(axis, n - width, width), x.narrow(axis, 0, width)
    repeated = [-1] * x.ndim
    repeated[axis] = width
    before = x.narrow(axis, 0, 1).expand(repeated) if before is None else before
    after = x.narrow(axis, n - 1, 1).expand(repeated) if after is None else after
    return torch.cat((before, x, after), dim=axis)


def local_branch(
    name: LocalName, channels: int, *, n_modes: Sequence[int], kernel_size: int, periodic: Sequence[bool]
) -> nn.Module:
    """Return the local operator of this name."""
    if name == "differential":
        return DifferentialBranch(channels, n_modes, periodic)
    return ConvolutionBranch(channels, kernel_size, periodic)
