"""Spectral convolution along one axis at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.basis import Basis
from fno_lightning.layers.spectral_conv import BasisName, SpectralConv
from fno_lightning.layers.spectral_weight import DenseWeight, SpectralWeight


class AxisSpectralConv(nn.Module):
    r"""Sum of one spectral convolution along each axis; channels last.

    .. math:: y = \sum_d S_d\,(W_{d,k}\,(A_d\,x)_k) + b

    with :class:`SpectralConv` of one dimension along axis d, on every line of the grid. Modes and weights grow with the
    sum of the axes' modes, where those of a joint transform grow with their product; it cannot see diagonal waves.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Modes to keep along each axis, see :class:`SpectralConv`.
        bases: Basis of each axis, see :class:`SpectralConv`.
        weight: Class of the weights.
        bias: Add a constant to each channel.
        filter_order: Damp the shortest kept waves, see :class:`SpectralConv`.

    Raises:
        ValueError: if the numbers of modes and of bases differ or a number of modes is not positive.

    Reference: Tran et al. 2023, arXiv:2111.13802, section 3.1.

    >>> conv = AxisSpectralConv(in_channels=3, out_channels=5, n_modes=(8, 6))
    >>> conv(torch.zeros(2, 32, 24, 3)).shape
    torch.Size([2, 32, 24, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int],
        *,
        bases: Sequence[BasisName | Basis] | None = None,
        weight: Callable[..., SpectralWeight] = DenseWeight,
        bias: bool = True,
        filter_order: int | None = None,
    ) -> None:
        super().__init__()
        named: Sequence[BasisName | Basis] = bases or ["fourier"] * len(n_modes)
        if len(named) != len(n_modes):
            raise ValueError(f"expected one basis for each entry of n_modes {tuple(n_modes)}, got {tuple(named)}")
        self.convolutions = nn.ModuleList(
            SpectralConv(
                in_channels, out_channels, [n], bases=[basis], weight=weight, bias=False, filter_order=filter_order
            )
            for n, basis in zip(n_modes, named, strict=True)
        )
        std = math.sqrt(2 / (in_channels + out_channels))
        self.bias = nn.Parameter(std * torch.randn(out_channels)) if bias else None

    @property
    def n_modes(self) -> tuple[int, ...]:
        """Modes of each axis."""
        return tuple(conv.n_modes[0] for conv in self._along_axes())

    @property
    def kept_modes(self) -> tuple[int, ...]:
        """Modes of each axis that are used."""
        return tuple(conv.kept_modes[0] for conv in self._along_axes())

    def keep_modes(self, n_modes: Sequence[int]) -> None:
        """Use so many modes of each axis, see :meth:`SpectralConv.keep_modes`."""
        for conv, n in zip(self._along_axes(), n_modes, strict=True):
            conv.keep_modes([n])

    def zero_unused_modes_(self) -> None:
        """Set the weights to zero at the modes that are not used."""
        for conv in self._along_axes():
            conv.zero_unused_modes_()

    def gradient_strength(self, axis: int) -> Float[Tensor, " wave"] | None:
        """Return the squared norm of the gradient at each used wave number of an axis; ``None``: no gradient."""
        return list(self._along_axes())[axis].gradient_strength(0)

    def _along_axes(self) -> Iterator[SpectralConv]:
        for conv in self.convolutions:
            assert isinstance(conv, SpectralConv)
            yield conv

    def forward(self, x: Float[Tensor, "batch *grid in_channels"]) -> Float[Tensor, "batch *grid out_channels"]:
        """Apply the convolutions."""
        parts = []
        for axis, conv in enumerate(self.convolutions, start=1):
            lines = x.movedim(axis, -2)
            along = conv(lines.flatten(0, -3))
            parts.append(along.view(*lines.shape[:-1], -1).movedim(-2, axis))
        total: Tensor = sum(parts[1:], parts[0])
        return total if self.bias is None else total + self.bias.to(total.dtype)
