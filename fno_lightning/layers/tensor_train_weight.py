"""Tensor-train decomposition of a spectral weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.complex_parts import einsum_parts, mix_channels, project_channels
from fno_lightning.layers.spectral_weight import LowRankWeight, Modes


class TensorTrainWeight(LowRankWeight):
    r"""Chain of factors, one for each axis of the weight, each linked to the next.

    .. math:: W_{i o k l \dots} = \sum_{a b c \dots} G^{in}_{i a} G^{out}_{a o b} G^1_{b k c} G^2_{c l d} \dots

    Factorized, the coefficients go through the input factor and then, mode by mode, through the rest of the chain.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        rank: Fraction of the dense weight's parameters to keep (float), the same rank for all links (int), or the
            rank of each link, from 1 before the input channels to 1 after the last mode.
        implementation: ``factorized`` or ``reconstructed``, see :class:`LowRankWeight`.
        is_complex: Whether the coefficients are complex.

    Raises:
        ValueError: if the ranks do not fit the axes or do not begin and end with 1.

    Reference: Kossaifi et al. 2024, arXiv:2310.00120.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_coefficients: Sequence[int],
        *,
        rank: int | float | Sequence[int] = 0.1,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
        is_complex: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, n_coefficients, is_complex=is_complex, implementation=implementation
        )
        self.rank = tensor_train_rank(self.shape, rank)
        std = (self.std / math.prod(self.rank)) ** (1 / len(self.shape))
        self.in_factor = self._normal_parameter(in_channels, self.rank[1], std=std)
        self.out_factor = self._normal_parameter(self.rank[1], out_channels, self.rank[2], std=std)
        self.mode_factors = nn.ParameterList(
            self._normal_parameter(left, size, right, std=std)
            for size, (left, right) in zip(self.n_coefficients, pairwise(self.rank[2:]), strict=True)
        )

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the factor of the axis."""
        return self.mode_factors[axis], 1

    def mode_chain(self, modes: Modes) -> Float[Tensor, "rank *mode part"]:
        """Return the part of the chain that belongs to the modes, at the resolved ones."""
        factors = [factor[:, resolved] for factor, resolved in zip(self.mode_factors, modes, strict=True)]
        chain: Tensor = factors[-1][:, :, 0]
        for factor in reversed(factors[:-1]):
            chain = einsum_parts("bkc,c...->bk...", factor, chain)
        return chain

    def expanded_out_factor(self, modes: Modes) -> Float[Tensor, "*mode rank out part"]:
        """Return the chain without the input factor at the resolved modes."""
        return einsum_parts("b...,aob->...ao", self.mode_chain(modes), self.out_factor)

    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """Return the matrices of the resolved modes."""
        return einsum_parts("ia,...ao->...io", self.in_factor, self.expanded_out_factor(modes))

    def factorized(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Apply the input factor, then the rest of the chain of every mode."""
        return mix_channels(project_channels(coefficients, self.in_factor), self.expanded_out_factor(modes))


def tensor_train_rank(shape: Sequence[int], rank: int | float | Sequence[int]) -> tuple[int, ...]:
    """Return the rank of each link of the chain of a tensor of this shape, 1 at both ends.

    A fraction is reached with ranks proportional to the mean of the two axes that a link joins.
    """
    if isinstance(rank, int):
        return (1, *[rank] * (len(shape) - 1), 1)
    if not isinstance(rank, float):
        if len(rank) != len(shape) + 1 or rank[0] != 1 or rank[-1] != 1:
            raise ValueError(
                f"a tensor-train weight of shape {tuple(shape)} needs {len(shape) + 1} ranks, the first and the last "
                f"of them 1, got {tuple(rank)}"
            )
        return tuple(rank)
    links = [(left + right) / 2 for left, right in pairwise(shape)]
    quadratic = sum(left * size * right for left, size, right in zip(links, shape[1:], links[1:], strict=False))
    linear = shape[0] * links[0] + shape[-1] * links[-1]
    constant = rank * math.prod(shape)
    scale = (math.sqrt(linear**2 + 4 * quadratic * constant) - linear) / (2 * quadratic)
    return (1, *[max(round(link * scale), 1) for link in links], 1)
