"""Base classes of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import plain, require_mapping
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes.equation import Equation
from fno_lightning.weighted_means import weighted_mean

Units: TypeAlias = Literal["normalized", "physical"]
Reduction: TypeAlias = Literal["mean", "sum"]


class Comparison(NamedTuple):
    """A prediction beside its target, and what it was made from.

    Attributes:
        in_units: Returns prediction and target, ``(batch, time, field, *grid)``, in one of the units of
            :attr:`Loss.units`.
        history: Frames before the prediction in physical units, ``(batch, time, field, *grid)``; without an entry along
            time for a steady problem.
        constants: Fields without time dependence in physical units, ``(batch, constant, *grid)``.
        scalars: Parameters, ``(batch, scalar)``.
        weight: What each point of irregular data weighs in a mean over the domain, ``(batch, point)``, 0 for padding;
            ``None``: fields on a grid.
    """

    in_units: Callable[[str], tuple[Tensor, Tensor]]
    history: Tensor
    constants: Tensor
    scalars: Tensor
    weight: Tensor | None = None


class Loss(nn.Module, ABC):
    """Scalar measure of the difference between prediction and target, both ``(batch, time, field, *grid)``."""

    units: Literal["normalized", "spreads", "physical"] = "normalized"
    """What a module hands over: fields as multiples of their spread over the train split, as the deviation from their
    mean there (``normalized``) or as they are (``spreads``), or in ``physical`` units, float32 or better."""

    @property
    def weighs_points(self) -> bool:
        """Whether it respects the weights of points, which irregular data have; others need fields on a grid."""
        return False

    def bind(self, spec: FieldSpec) -> None:
        """Take the description of the data from the module that the loss is given to.

        Raises:
            ValueError: if the loss needs something that the data do not have.
        """

    def take_equation(self, equation: Equation | None) -> None:
        """Take the equation that has made the data, if one has, before a training or an evaluation.

        Raises:
            ValueError: if the loss needs one and there is none.
        """

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Learn which fields vary in the train split, before a training or an evaluation; others are predicted exactly.

        Raises:
            ValueError: if nothing would be trained.
        """

    def compare(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the loss of a module's prediction; by default of nothing but prediction and target."""
        loss: Tensor = self(*comparison.in_units(self.units))
        return loss

    @abstractmethod
    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the loss, a mean that does not grow with the number of samples, steps, fields or points."""


class FieldLoss(Loss):
    """Loss that is a mean of errors, one of each sample, at each time, in each field.

    A module leaves out fields that do not vary in the train split: it predicts them exactly, so that their errors are
    round-off, which would only make the mean smaller.

    Args:
        weights: Weight of each field in the mean, by its name; others weigh 1. They are scaled to a mean of 1.
        reduction: ``mean``, or ``sum`` over samples, times and fields, as the losses of neuralop: it grows with the
            batch.

    Raises:
        ValueError: if a weight is negative or infinite, or there is no such reduction; in a module, if there is no such
            field, or no field weighs anything.
    """

    weight: Tensor | None
    """Weight of each field, of mean 1; ``None`` before the names of the fields are known."""
    is_weighted: bool
    """Whether the weights differ, or will."""

    def __init__(self, weights: Mapping[str, float] | None = None, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        require_mapping(weights=weights)
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction is 'mean' or 'sum', got {reduction!r}")
        self.reduction: Reduction = reduction
        self.weights: dict[str, float] = plain(dict(weights or {}), "weights")
        if wrong := {name: value for name, value in self.weights.items() if not 0 <= value < float("inf")}:
            raise ValueError(f"weights of fields are numbers of at least 0, got {wrong}")
        self.is_weighted = bool(self.weights)
        self.weight = None  # no buffer, which would be averaged with others
        self._fields: tuple[str, ...] = ()

    def bind(self, spec: FieldSpec) -> None:
        """Find the fields of the weights; see :meth:`Loss.bind`."""
        if unknown := sorted(set(self.weights) - set(spec.fields)):
            raise ValueError(f"weights of the loss name the fields {unknown}, but the data have {list(spec.fields)}")
        self._fields = spec.fields
        self.is_weighted = bool(self.weights)
        self.weight = self._weight_of([True] * len(spec.fields))

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Give fields that do not vary no weight, unless none does; see :meth:`Loss.leave_out`."""
        if self.weight is None:  # nobody has given the names
            return
        varies = varies if any(varies) else [True] * len(varies)
        self.is_weighted = bool(self.weights) or not all(varies)
        self.weight.copy_(self._weight_of(varies))  # in place, where captured steps read it

    def _weight_of(self, varies: Sequence[bool]) -> Tensor:
        named = zip(self._fields, varies, strict=True)
        weight = torch.tensor([self.weights.get(name, 1.0) if does else 0.0 for name, does in named])
        if weight.sum() == 0:
            left = [name for name, does in zip(self._fields, varies, strict=True) if does]
            raise ValueError(f"weights of the loss are 0 for all of the fields {left}: nothing would be trained")
        return weight / weight.mean()

    @abstractmethod
    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the error of each sample, at each time, in each field.

        A loss that :attr:`weighs_points` has a third argument for them, ``weight=None``.
        """

    def compare(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the loss of a module's prediction; see :meth:`Loss.compare`."""
        if comparison.weight is None:
            return super().compare(comparison)
        loss: Tensor = self(*comparison.in_units(self.units), comparison.weight)
        return loss

    def require_same_shape(self, prediction: Tensor, target: Tensor) -> None:
        """Check what is compared.

        Raises:
            ValueError: if the shapes differ, which would be broadcast, or there is nothing to compare.
        """
        if prediction.shape != target.shape or prediction.numel() == 0:
            raise ValueError(
                f"{type(self).__name__} compares fields of one shape that are not empty, got a prediction "
                f"{tuple(prediction.shape)} and a target {tuple(target.shape)}"
            )

    def forward(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean error, or the sum; points weigh alike unless there are weights.

        Raises:
            ValueError: if the shapes differ, which would be broadcast, or there is nothing to compare.
        """
        self.require_same_shape(prediction, target)
        weights = () if weight is None else (weight,)
        errors = self.errors(prediction, target, *weights)
        if not self.is_weighted:
            return errors.mean() if self.reduction == "mean" else errors.sum()
        if self.weight is None:
            raise ValueError("weights by field need the names of the fields: call bind(spec) first")
        if self.weight.device != errors.device:
            self.weight = self.weight.to(errors.device)
        weighted = errors * self.weight.to(errors.dtype)
        return weighted.mean() if self.reduction == "mean" else weighted.sum()


def units_of_ratio(units: str) -> Literal["normalized", "spreads"]:
    """Return what a loss that is a ratio compares, in which a field's unit does not matter but its mean does.

    In physical units squares of large values would overflow, and small values vanish beside an ε.

    Raises:
        ValueError: if there are no units of this name.
    """
    if units not in get_args(Units):
        raise ValueError(f"units of a loss are {' or '.join(get_args(Units))}, got {units!r}")
    return "normalized" if units == "normalized" else "spreads"


def require_floor(name: str, value: float) -> float:
    """Return a number that keeps a ratio or the gradient of a root finite.

    Raises:
        ValueError: if it is below 1e-9, whose fourth power float32 can just hold, or not finite.
    """
    if not 1e-9 <= value < float("inf"):
        raise ValueError(f"{name} keeps the loss and its gradient finite and must be at least 1e-9, got {value}")
    return value


def mean_square(
    fields: Float[Tensor, "batch time field *grid"], weight: Float[Tensor, " batch *grid"] | None = None
) -> Float[Tensor, "batch time field"]:
    """Return the mean square over the grid, in float32 or better: in half precision, sums lose what is small."""
    squares = fields.to(torch.promote_types(fields.dtype, torch.float32)).square().flatten(3)
    return weighted_mean(squares, (3,), by_point(weight))


def by_point(weight: Float[Tensor, " batch *grid"] | None) -> Float[Tensor, "batch 1 1 point"] | None:
    """Shape weights to act on fields ``(batch, time, field, point)``."""
    return None if weight is None else weight.flatten(1)[:, None, None]
