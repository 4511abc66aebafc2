"""Relative error in a Sobolev norm, by Fourier coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss


class Sobolev(FieldLoss):
    r"""Error in the norm of the Sobolev space :math:`H^s`, relative to the target's, of each sample, time and field.

    .. math:: \lVert u \rVert_s^2 = \sum_k (1 + |k|^2)^s\, |\hat u_k|^2

    with k the number of waves along each axis of the grid, and the Fourier coefficients of the field, continued evenly
    at the ends of axes that are not periodic (half-integer k there). s = 0 is the relative L2 error; s > 0 weighs small
    scales more, of which fields without rough data have little, s < 0 large ones. The norm of a resolved field does not
    depend on the grid.

    Args:
        order: s.
        epsilon: Added to the norm of the target; keeps the loss finite where it vanishes.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``epsilon`` is not positive, or, in the forward pass, ``periodic`` has not one entry an axis.

    Reference: Li et al. 2022, arXiv:2106.06898, section 3 (Sobolev losses for neural operators).
    """

    def __init__(
        self,
        order: float = 1.0,
        epsilon: float = 1e-3,
        periodic: Sequence[bool] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights)
        if not epsilon > 0:
            raise ValueError(f"epsilon keeps the loss finite and must be positive, got {epsilon}")
        self.order = order
        self.epsilon = epsilon
        self.periodic = periodic

    def bind(self, fields: Sequence[str], periodic: Sequence[bool]) -> None:
        """Take the periodic axes of the data, unless they were given; see :meth:`Loss.bind`."""
        super().bind(fields, periodic)
        self.periodic = periodic if self.periodic is None else self.periodic

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the relative errors."""
        return self._norm(prediction - target) / (self._norm(target) + self.epsilon)

    def _norm(self, fields: Tensor) -> Tensor:
        grid = fields.shape[3:]
        periodic = tuple(self.periodic or (True,) * len(grid))
        if len(periodic) != len(grid):
            raise ValueError(f"periodic {periodic} must have one entry for each of the {len(grid)} axes of the grid")
        fields = fields.to(torch.promote_types(fields.dtype, torch.float32))
        for axis, wraps in enumerate(periodic, start=3):
            if not wraps:
                fields = torch.cat((fields, fields.flip(axis)), dim=axis)
        axes = tuple(range(3, fields.ndim))
        power = torch.view_as_real(torch.fft.rfftn(fields, dim=axes, norm="forward")).square().sum(dim=-1)
        weight = self._weight(fields.shape[3:], periodic).to(power)
        # the gradient of a root is infinite at 0
        smallest = self.epsilon**2
        return ((power * weight).flatten(3).sum(dim=3) + smallest * smallest).sqrt() - smallest

    def _weight(self, grid: Sequence[int], periodic: Sequence[bool]) -> Tensor:
        """Return the weight of each mode of a real transform: (1 + |k|²)^s, twice that of modes with a mirror image."""
        waves = [
            n * (torch.fft.fftfreq if axis < len(grid) - 1 else torch.fft.rfftfreq)(n, dtype=torch.float64)
            for axis, n in enumerate(grid)
        ]
        squares = [(k if wraps else k / 2).square() for k, wraps in zip(waves, periodic, strict=True)]
        length = torch.stack(torch.meshgrid(*squares, indexing="ij")).sum(dim=0)
        mirrored = torch.full((grid[-1] // 2 + 1,), 2.0, dtype=torch.float64)
        mirrored[0] = 1
        if grid[-1] % 2 == 0:
            mirrored[-1] = 1
        return (1 + length) ** self.order * mirrored
