"""Errors of values together with derivatives, by finite differences: the norms of H¹ and H(div)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.derivatives import FiniteDifferences, GridDerivatives
from fno_lightning.field_spec import FieldSpec, component
from fno_lightning.losses.base import FieldLoss, Reduction, Units, require_floor, units_of_ratio


class DerivativeLoss(FieldLoss):
    """Base class of relative errors of values and derivatives, by central differences of second order.

    Differences at the ends of an axis that is not periodic are one-sided, of third order.

    Args:
        lengths: Length of each axis, in the units of the derivatives; ``None``: 1.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        epsilon: Added to the norm of the target; keeps the error finite where it vanishes. Errors below its square have
            no more pull than their square, so that the gradient of a perfect prediction is 0.
        units: Compare ``normalized`` or ``physical`` fields, see :class:`~fno_lightning.losses.RelativeL2`.
        reduction: See :class:`~fno_lightning.losses.FieldLoss`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``epsilon`` is below 1e-9; in a module or in the forward pass, if ``lengths`` or ``periodic`` has
            not one entry an axis, or an axis has fewer than 4 points.
    """

    def __init__(
        self,
        lengths: Sequence[float] | None = None,
        periodic: Sequence[bool] | None = None,
        epsilon: float = 1e-8,
        units: Units = "normalized",
        reduction: Reduction = "mean",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights, reduction=reduction)
        self.lengths = None if lengths is None else tuple(lengths)
        self.periodic = None if periodic is None else tuple(periodic)
        self.epsilon = require_floor("epsilon", epsilon)
        self.units = units_of_ratio(units)
        self._periodic_of_data: tuple[bool, ...] | None = None
        self._derivatives: dict[tuple[int, ...], GridDerivatives] = {}

    def bind(self, spec: FieldSpec) -> None:
        """Take the periodic axes of the data, too; see :meth:`Loss.bind`."""
        super().bind(spec)
        self._periodic_of_data = spec.periodic
        self._derivatives = {}
        self.derivatives(spec.grid_shape)

    def derivatives(self, grid: Sequence[int]) -> GridDerivatives:
        """Return the derivatives on a grid."""
        grid = tuple(grid)
        if grid not in self._derivatives:
            periodic = self.periodic or self._periodic_of_data or (True,) * len(grid)
            lengths = self.lengths or (1.0,) * len(grid)
            for name, entries in {"periodic": periodic, "lengths": lengths}.items():
                if len(entries) != len(grid):
                    raise ValueError(
                        f"{name} {list(entries)} must have one entry for each of the {len(grid)} axes of the grid"
                    )
            axes = [
                FiniteDifferences(tuple(length / n * i for i in range(n)), 2, length if wraps else None, 3)
                for n, length, wraps in zip(grid, lengths, periodic, strict=True)
            ]
            self._derivatives[grid] = GridDerivatives(axes)
        return self._derivatives[grid]

    @abstractmethod
    def squares(self, fields: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field"]:
        """Return the square of the norm of each field."""

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the relative errors in the norm."""
        smallest = self.epsilon**2  # the gradient of a root is infinite at 0
        error: Tensor = (self.squares(prediction - target) + smallest**2).sqrt() - smallest
        return error / (self.squares(target).sqrt() + self.epsilon)


class H1(DerivativeLoss):
    r"""Error of values and gradients, relative to the target's: the norm of the Sobolev space H¹.

    .. math:: \lVert u \rVert^2 = \sum_{\text{points}} u^2 + |\nabla u|^2

    With ``reduction: sum`` it is the ``H1Loss`` of neuralop. :class:`~fno_lightning.losses.Sobolev` has any order, by
    Fourier coefficients.

    Args:
        lengths: Length of each axis, in the units of the derivatives; ``None``: 1.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        epsilon: See :class:`DerivativeLoss`.
        units: Compare ``normalized`` or ``physical`` fields, see :class:`~fno_lightning.losses.RelativeL2`.
        reduction: See :class:`~fno_lightning.losses.FieldLoss`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: see :class:`DerivativeLoss`.
    """

    def squares(self, fields: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field"]:
        """Return the square of the norm of each field."""
        derivatives = self.derivatives(fields.shape[3:])
        total = _square_sum(fields)
        for axis in range(derivatives.n_dims):
            total = total + _square_sum(derivatives.partial(fields, axis))
        return total


class Hdiv(DerivativeLoss):
    r"""Error of vectors and their divergence, relative to the target's: the norm of the space H(div).

    .. math:: \lVert v \rVert^2 = \sum_{\text{points}} |v|^2 + (\nabla \cdot v)^2

    Every component of a vector has the error of the vector; scalar fields have their relative L2 error. neuralop's
    ``HdivLoss`` adds the partial derivatives of each channel instead, which is the same along one axis, with
    ``reduction: sum``, and no divergence otherwise.

    Args:
        vectors: Names of the components of each vector field, in the order of the axes; ``None``: the fields whose
            names end in ``_`` and the name of an axis.
        lengths: Length of each axis, in the units of the derivatives; ``None``: 1.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        epsilon: See :class:`DerivativeLoss`.
        units: Compare ``normalized`` or ``physical`` fields, see :class:`~fno_lightning.losses.RelativeL2`.
            ``normalized`` components have units of their own, of which a divergence is the sum all the same.
        reduction: See :class:`~fno_lightning.losses.FieldLoss`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: see :class:`DerivativeLoss`; in a module, if there is no vector field.
    """

    def __init__(
        self,
        vectors: Sequence[Sequence[str]] | None = None,
        lengths: Sequence[float] | None = None,
        periodic: Sequence[bool] | None = None,
        epsilon: float = 1e-8,
        units: Units = "normalized",
        reduction: Reduction = "mean",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lengths, periodic, epsilon, units, reduction, weights)
        self.vectors = vectors
        self._channels: list[list[int]] | None = None

    def bind(self, spec: FieldSpec) -> None:
        """Find the components of the vectors; see :meth:`Loss.bind`."""
        super().bind(spec)
        axes = spec.axis_names
        vectors = self.vectors
        if vectors is None:
            stems = [base for base, along in (component(name, axes) for name in spec.fields) if along == (0,)]
            candidates = [[f"{stem}_{axis}" for axis in axes] for stem in stems]
            vectors = [names for names in candidates if set(names) <= set(spec.fields)]
        complete = [names for names in vectors if set(names) <= set(spec.fields) and len(names) == spec.n_dims]
        if not complete or len(complete) < len(vectors):
            raise ValueError(
                f"Hdiv needs vector fields with a component for each of the axes {list(axes)}, got "
                f"{[list(names) for names in vectors]} of the fields {list(spec.fields)}"
            )
        self._channels = [[spec.fields.index(name) for name in names] for names in complete]

    def squares(self, fields: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field"]:
        """Return the square of the norm of each field, or of the vector that it is a component of."""
        derivatives = self.derivatives(fields.shape[3:])
        channels = self._channels
        if channels is None:
            if fields.shape[2] != derivatives.n_dims:
                raise ValueError("Hdiv without a module takes the fields as the components of one vector")
            channels = [list(range(derivatives.n_dims))]
        own = list(_square_sum(fields).unbind(dim=2))
        for components in channels:
            divergence = _square_sum(derivatives.divergence(fields[:, :, components])[:, :, None])[:, :, 0]
            total = sum((own[i] for i in components), divergence)
            for i in components:
                own[i] = total
        return torch.stack(own, dim=2)


def _square_sum(fields: Tensor) -> Tensor:
    return fields.to(torch.promote_types(fields.dtype, torch.float32)).square().flatten(3).sum(dim=3)
