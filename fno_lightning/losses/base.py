"""Base classes of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import plain, require_mapping

Units: TypeAlias = Literal["normalized", "physical"]


class Loss(nn.Module, ABC):
    """Scalar measure of the difference between prediction and target, both ``(batch, time, field, *grid)``."""

    units: Literal["normalized", "spreads", "physical"] = "normalized"
    """What a module hands over: fields as multiples of their spread over the train split, as the deviation from their
    mean there (``normalized``) or as they are (``spreads``), or in ``physical`` units, float32 or better."""

    def bind(self, fields: Sequence[str], periodic: Sequence[bool]) -> None:
        """Take the names of the fields, and whether each axis is periodic, from the module that the loss is given to.

        Raises:
            ValueError: if the loss needs something that the fields do not have.
        """

    @abstractmethod
    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the loss, a mean that does not grow with the number of samples, steps, fields or points."""


class FieldLoss(Loss):
    """Loss that is a mean of errors, one of each sample, at each time, in each field.

    Args:
        weights: Weight of each field in the mean, by its name; others weigh 1. They are scaled to a mean of 1.

    Raises:
        ValueError: if a weight is negative or infinite; in a module, if there is no such field, or no field weighs
            anything.
    """

    weight: Tensor | None

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        require_mapping(weights=weights)
        self.weights: dict[str, float] = plain(dict(weights or {}), "weights")
        if wrong := {name: value for name, value in self.weights.items() if not 0 <= value < float("inf")}:
            raise ValueError(f"weights of fields are numbers of at least 0, got {wrong}")
        self.register_buffer("weight", None, persistent=False)

    def bind(self, fields: Sequence[str], periodic: Sequence[bool]) -> None:
        """Find the fields of the weights; see :meth:`Loss.bind`."""
        if unknown := sorted(set(self.weights) - set(fields)):
            raise ValueError(f"weights of the loss name the fields {unknown}, but the data have {list(fields)}")
        if not self.weights:
            return
        weight = torch.tensor([self.weights.get(name, 1.0) for name in fields])
        if weight.sum() == 0:
            raise ValueError(
                f"weights of the loss are 0 for all of the fields {list(fields)}: nothing would be trained"
            )
        self.weight = weight / weight.mean()

    @abstractmethod
    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the error of each sample, at each time, in each field."""

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the mean error."""
        errors = self.errors(prediction, target)
        if self.weight is not None:
            errors = errors * self.weight.to(errors)
        elif self.weights:
            raise ValueError("weights by field need the names of the fields: call bind(fields, periodic) first")
        return errors.mean()


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


def mean_square(fields: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field"]:
    """Return the mean square over the grid, in float32 or better: in half precision, sums lose what is small."""
    return fields.to(torch.promote_types(fields.dtype, torch.float32)).square().flatten(3).mean(dim=3)
