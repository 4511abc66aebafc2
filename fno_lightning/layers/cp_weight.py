"""Canonical polyadic decomposition of a spectral weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.complex_parts import combine_parts, einsum_parts, project_channels
from fno_lightning.layers.spectral_weight import LowRankWeight, Modes


class CPWeight(LowRankWeight):
    r"""Sum of R outer products of one vector for each axis of the weight.

    .. math:: W_{i o k l \dots} = \sum_r \lambda_r U^{in}_{i r} U^{out}_{o r} U^1_{k r} U^2_{l r} \dots

    Factorized, the coefficients go through the input factor, are scaled mode by mode, and go through the output
    factor.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        rank: Fraction of the dense weight's parameters to keep (float) or the number of terms R (int).
        implementation: ``factorized`` or ``reconstructed``, see :class:`LowRankWeight`.
        is_complex: Whether the coefficients are complex.

    Reference: Kossaifi et al. 2024, arXiv:2310.00120.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_coefficients: Sequence[int],
        *,
        rank: int | float = 0.1,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
        is_complex: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, n_coefficients, is_complex=is_complex, implementation=implementation
        )
        self.rank = cp_rank(self.shape, rank)
        std = (self.std / math.sqrt(self.rank)) ** (1 / len(self.shape))
        self.scale = nn.Parameter(torch.zeros(self.rank, self.n_parts))
        nn.init.ones_(self.scale[:, 0])
        self.in_factor = self._normal_parameter(in_channels, self.rank, std=std)
        self.out_factor = self._normal_parameter(self.rank, out_channels, std=std)
        self.mode_factors = nn.ParameterList(
            self._normal_parameter(size, self.rank, std=std) for size in self.n_coefficients
        )

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the factor of the axis."""
        return self.mode_factors[axis], 0

    def mode_scale(self, modes: Modes) -> Float[Tensor, "*mode rank part"]:
        """Return the factor of every term at the resolved modes."""
        scale: Tensor = self.scale
        for factor, resolved in zip(self.mode_factors, modes, strict=True):
            scale = einsum_parts("...r,kr->...kr", scale, factor[resolved])
        return scale

    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """Return the matrices of the resolved modes."""
        kernel = einsum_parts("...r,ir->...ir", self.mode_scale(modes), self.in_factor)
        return einsum_parts("...ir,ro->...io", kernel, self.out_factor)

    def factorized(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Apply the input factor, the scale of every mode and the output factor."""
        terms = project_channels(coefficients, self.in_factor)
        scaled = combine_parts(terms.unsqueeze(-1) * self.mode_scale(modes).to(terms.dtype), 1)
        return project_channels(scaled, self.out_factor)


def cp_rank(shape: Sequence[int], rank: int | float) -> int:
    """Return the number of terms; a fraction counts parameters: ``rank · prod(sizes) / sum(sizes)``."""
    return rank if isinstance(rank, int) else max(round(rank * math.prod(shape) / sum(shape)), 1)
