"""Base class of losses of Fourier coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses.base import FieldLoss
from fno_lightning.wavenumbers import mode_power, wavenumber_length


class FourierLoss(FieldLoss):
    """Loss of the Fourier coefficients of fields, continued evenly at the ends of axes that are not periodic.

    A subclass compares :meth:`power`, mode by mode, with wavenumbers from :meth:`lengths`: on a periodic axis of length
    L the waves have the lengths L, L/2, L/3..., on another one 2L, L, 2L/3....

    Args:
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: in a module or in the forward pass, if ``periodic`` has not one entry an axis.
    """

    def __init__(self, periodic: Sequence[bool] | None = None, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights)
        self.periodic = None if periodic is None else tuple(periodic)
        self._periodic_of_data: tuple[bool, ...] | None = None

    def bind(self, spec: FieldSpec) -> None:
        """Take the periodic axes of the data, too; see :meth:`Loss.bind`."""
        super().bind(spec)
        self._periodic_of_data = spec.periodic
        self._axes(spec.n_dims)

    def power(self, fields: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field *half_grid"]:
        """Return the power of each mode, whose sum is the mean square over the grid, in float32 or better."""
        fields = fields.to(torch.promote_types(fields.dtype, torch.float32))
        n_dims = fields.ndim - 3
        for axis, wraps in enumerate(self._axes(n_dims), start=3):
            if not wraps:
                fields = torch.cat((fields, fields.flip(axis)), dim=axis)
        return mode_power(fields, n_dims)

    def lengths(self, grid: Sequence[int], spacing: Sequence[float], device: torch.device) -> Tensor:
        """Return |k| of each mode of :meth:`power`, ``(*half_grid)``, in radians per unit of the spacing."""
        continued = [n if wraps else 2 * n for n, wraps in zip(grid, self._axes(len(grid)), strict=True)]
        return wavenumber_length(continued, spacing, device)

    def _axes(self, n_dims: int) -> tuple[bool, ...]:
        periodic = self.periodic or self._periodic_of_data or (True,) * n_dims
        if len(periodic) != n_dims:
            raise ValueError(f"periodic {list(periodic)} must have one entry for each of the {n_dims} axes of the grid")
        return periodic
