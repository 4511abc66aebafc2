"""Tucker decomposition of a spectral weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.complex_parts import einsum_parts, mix_channels, project_channels
from fno_lightning.layers.spectral_weight import LowRankWeight, Modes


class TuckerWeight(LowRankWeight):
    r"""Small core with one factor for each axis of the weight.

    .. math::
        W_{i o k l \dots} =
        \sum_{a b c d \dots} G_{a b c d \dots} U^{in}_{i a} U^{out}_{o b} U^1_{k c} U^2_{l d} \dots

    Factorized, the coefficients go through the input factor, then for each mode through the core expanded to that
    mode, then through the output factor: what is mixed mode by mode are the ranks instead of the channels.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        rank: Fraction of the dense weight's parameters to keep (float), the same rank for all axes (int), or the rank
            of each axis: input channels, output channels, then modes.
        implementation: ``factorized`` or ``reconstructed``, see :class:`LowRankWeight`.
        is_complex: Whether the coefficients are complex.

    Raises:
        ValueError: if the number of ranks is not the number of axes.

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
        self.rank = tucker_rank(self.shape, rank)
        rank_in, rank_out, *rank_modes = self.rank
        std = (self.std / math.sqrt(math.prod(self.rank))) ** (1 / (len(self.rank) + 1))
        self.core = self._normal_parameter(*rank_modes, rank_in, rank_out, std=std)
        self.in_factor = self._normal_parameter(in_channels, rank_in, std=std)
        self.out_factor = self._normal_parameter(rank_out, out_channels, std=std)
        self.mode_factors = nn.ParameterList(
            self._normal_parameter(size, rank, std=std)
            for size, rank in zip(self.n_coefficients, rank_modes, strict=True)
        )

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the factor of the axis."""
        return self.mode_factors[axis], 0

    def expanded_core(self, modes: Modes) -> Float[Tensor, "*mode rank_in rank_out part"]:
        """Return the core at the resolved modes."""
        core: Tensor = self.core
        for axis, (factor, resolved) in enumerate(zip(self.mode_factors, modes, strict=True)):
            core = einsum_parts("kc,c...->k...", factor[resolved], core.movedim(axis, 0)).movedim(0, axis)
        return core

    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """Return the matrices of the resolved modes."""
        kernel = einsum_parts("ia,...ab->...ib", self.in_factor, self.expanded_core(modes))
        return einsum_parts("...ib,bo->...io", kernel, self.out_factor)

    def factorized(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Apply the input factor, the core of every mode and the output factor."""
        mixed = mix_channels(project_channels(coefficients, self.in_factor), self.expanded_core(modes))
        return project_channels(mixed, self.out_factor)


def tucker_rank(shape: Sequence[int], rank: int | float | Sequence[int]) -> tuple[int, ...]:
    """Return the rank of each axis of a tensor of this shape.

    A fraction is reached with ranks proportional to the axes, c·size, where c solves
    ``c^order · prod(sizes) + c · sum(sizes²) = rank · prod(sizes)``.
    """
    if isinstance(rank, int):
        return (rank,) * len(shape)
    if not isinstance(rank, float):
        if len(rank) != len(shape):
            raise ValueError(f"a Tucker weight of shape {tuple(shape)} needs {len(shape)} ranks, got {tuple(rank)}")
        return tuple(rank)
    size, squares = math.prod(shape), sum(n**2 for n in shape)
    low, high = 0.0, max(rank, 1.0)
    for _ in range(100):
        scale = (low + high) / 2
        too_large = size * scale ** len(shape) + squares * scale > rank * size
        low, high = (low, scale) if too_large else (scale, high)
    return tuple(max(round(n * low), 1) for n in shape)
