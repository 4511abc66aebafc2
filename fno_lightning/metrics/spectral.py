"""Power and errors in bands of wavenumbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric
from fno_lightning.wavenumbers import mode_power, wavenumber_length


def shell_power(
    fields: Float[Tensor, ...], edges: Float[Tensor, " edge"], *, n_dims: int, spacing: Sequence[float] | None = None
) -> Float[Tensor, "... shell"]:
    r"""Split the mean square of fields over shells of the wavenumber's length.

    Shell i holds the modes with :math:`e_i \le |k| < e_{i+1}`. By Parseval's theorem the shells add up to the mean
    square over the grid, if the edges cover every wavenumber.

    Args:
        fields: Fields ``(..., *grid)``, taken as periodic.
        edges: Ascending edges of the shells, in radians per unit of ``spacing``.
        n_dims: Number of grid axes, which come last.
        spacing: Distance of the grid points along each axis; ``None``: one, so that wavenumbers reach π along an axis.

    Returns:
        The power in each shell, ``(..., shell)``.

    A wave of amplitude 3 and wavenumber 4 on a domain of length 1 has the mean square 4.5:

    >>> wave = 3 * torch.sin(2 * math.pi * 4 * torch.arange(32) / 32)
    >>> edges = 2 * math.pi * torch.tensor([0, 3.5, 4.5, 17])
    >>> shell_power(wave, edges, n_dims=1, spacing=(1 / 32,)).round(decimals=4)
    tensor([0.0000, 4.5000, 0.0000])
    """
    grid_shape = fields.shape[-n_dims:]
    power = mode_power(fields, n_dims)
    length = wavenumber_length(grid_shape, spacing or (1.0,) * n_dims)
    shell = (torch.bucketize(length, edges.to(length), right=True) - 1).to(power.device)
    members = torch.stack([(shell == i).to(power) for i in range(len(edges) - 1)], dim=-1)
    return torch.matmul(power.flatten(start_dim=-n_dims), members.flatten(end_dim=-2))


def spectral_error(
    prediction: Float[Tensor, ...], target: Float[Tensor, ...], n_dims: int, *, normalized: bool = True
) -> Float[Tensor, "... band"]:
    r"""Mean square error in three bands of wavenumbers: low, mid and high.

    .. math:: E_b = \sum_{k \in b} |\hat p_k - \hat t_k|^2, \qquad
              E_b \Big/ \Big( \sum_{k \in b} |\hat t_k|^2 + 10^{-7} \Big) \text{ if normalized}

    with :math:`\sum_k |\hat t_k|^2` the mean square over the grid, so that the bands of the plain error add up to the
    mean square error. They split the range from the lowest wavenumber of the longest axis to the highest of the grid
    logarithmically. The normalised error is a ratio of powers: 1 when a band is missing from the prediction.

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.
        normalized: Divide by the power of the target in the band.

    Returns:
        The error of each field in each band, ``(..., 3)``.

    A prediction that has the longest wave only, twice as high as in the target, and lacks the shortest:

    >>> x = torch.arange(32) / 32
    >>> long, short = torch.cos(2 * math.pi * x), torch.cos(2 * math.pi * 15 * x)
    >>> spectral_error(2 * long, long + short, n_dims=1).round(decimals=4)
    tensor([1., 0., 1.])

    Reference: Ohana et al. 2024, The Well, arXiv:2412.00568, appendix E.
    """
    edges = band_edges(target.shape[-n_dims:])
    error = shell_power(prediction - target, edges, n_dims=n_dims)
    return error / (shell_power(target, edges, n_dims=n_dims) + EPSILON) if normalized else error


def band_edges(grid_shape: Sequence[int]) -> Float[Tensor, 4]:
    """Edges of the three bands, in radians per grid spacing."""
    lowest, highest = 2 * math.pi / max(grid_shape), math.pi * math.sqrt(len(grid_shape))
    edges = torch.logspace(math.log10(lowest), math.log10(highest + 1e-6), 4, dtype=torch.float64)
    edges[0] = 0
    return edges


class SpectralError(FieldMetric):
    """Mean over samples of :func:`spectral_error` in one band.

    Args:
        n_dims: Number of spatial dimensions.
        band: Third of the wavenumbers, on a logarithmic scale.
        normalized: Divide by the power of the target in the band.
    """

    def __init__(self, n_dims: int, band: Literal["low", "mid", "high"] = "low", normalized: bool = True) -> None:
        super().__init__(n_dims)
        self.band = ("low", "mid", "high").index(band)
        self.normalized = normalized
        self.degree = 0 if normalized else 2

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the error of each sample, at each lead time, in each field."""
        return spectral_error(prediction, target, self.n_dims, normalized=self.normalized)[..., self.band]
