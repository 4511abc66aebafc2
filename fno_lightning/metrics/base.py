"""Base class of errors: mean over samples, for each lead time and each field."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from fno_lightning.devices import held_dtype
from fno_lightning.slabs import active_slabs, gather, whole_fields

EPSILON = 1e-7  # The Well's; keeps ratios finite where the target is constant or zero, in the square of a field's unit


class ErrorFunction(Protocol):
    """Error of fields ``(..., *grid)``, one value for each field: ``(...)``."""

    def __call__(self, prediction: Tensor, target: Tensor, n_dims: int, weight: Tensor | None = None) -> Tensor:
        """Compare a prediction with a target; the last ``n_dims`` axes are the grid, whose points may have weights."""


class FieldMetric(Metric):
    """Mean over samples of an error, for each lead time and each field: ``compute() -> (time, field)``.

    A subclass sets :attr:`function`, or overrides :meth:`evaluate` for an error with options of its own.

    ``update(prediction, target, unit)`` takes ``(batch, time, field, *grid)``, on any grid. Fields are given in
    physical units, or as multiples of a unit of each field, such as its spread in the train split: then no square
    overflows, the ε in a ratio is small beside a field of any size, and errors that have a unit are still physical.
    Trajectories may differ in length: the mean at a lead time is over the samples that reach it. Sums are kept in
    float64, or in float32 on devices without it. ``compute`` adds them over the processes, which may have seen
    different numbers of batches, or none.

    Where fields are split over processes (:func:`~fno_lightning.slabs.split_fields`), errors that weigh points are sums
    over the slabs; for the others every process gathers the whole fields.

    A sample whose error is not a number, because the prediction has diverged, counts as infinitely bad (``inf``, or
    ``-inf`` where higher is better). So a mean is never ``nan``, and a diverging model never has the best checkpoint.

    Args:
        n_dims: Number of spatial dimensions.

    Attributes:
        function: The error of a field, as a static method.
        degree: Power of the fields' unit that the error has: 0 for a ratio, 1 for a difference.
        weighs_points: Whether the error respects weights of the points, which irregular data have.

    Raises:
        ValueError: from ``update``, if prediction and target differ in shape or do not have ``n_dims`` grid axes, or
            there are weights and it does not know them.
    """

    function: ClassVar[ErrorFunction]
    degree: int = 0
    weighs_points: ClassVar[bool] = False
    higher_is_better = False
    is_differentiable = False
    full_state_update = True  # states grow with the longest trajectory, so they cannot be merged by adding

    total: Tensor
    count: Tensor

    def __init__(self, n_dims: int) -> None:
        super().__init__(dist_sync_fn=_gather)
        self.n_dims = n_dims
        self.add_state("total", torch.zeros(0, 0), dist_reduce_fx="sum")  # empty, so its precision does not matter
        self.add_state("count", torch.zeros(0, 0), dist_reduce_fx="sum")

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the error of each sample, at each lead time, in each field."""
        return self.function(prediction, target, self.n_dims)

    def _evaluate(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            slabs = active_slabs()
            if slabs is None or self.weighs_points:
                return self.evaluate(prediction, target)
            prediction, target = (gather(fields, 3 + slabs.axis, slabs) for fields in (prediction, target))
            with whole_fields():
                return self.evaluate(prediction, target)
        if not self.weighs_points:
            raise ValueError(
                f"{type(self).__name__} compares fields on grids, but the points have weights, as irregular data do: "
                "leave this metric out"
            )
        return self.function(prediction, target, self.n_dims, weight[:, None, None])

    def update(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        unit: Float[Tensor, "*batch field"] | None = None,
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> None:
        """Add samples to the mean; half precision is evaluated in float32.

        Args:
            prediction: Predicted fields.
            target: The fields themselves.
            unit: What the values of each field, perhaps of each sample, are multiples of; ``None``: physical units.
            weight: What each point of each sample weighs in a mean over the domain, 0 for padding; ``None``: alike.
        """
        if prediction.shape != target.shape or target.ndim != 3 + self.n_dims:
            raise ValueError(
                f"prediction and target must have the same shape (batch, time, field, *grid) with {self.n_dims} grid "
                f"axes, got {tuple(prediction.shape)} and {tuple(target.shape)}"
            )
        dtype = torch.promote_types(target.dtype, torch.float32)
        self.add(self._evaluate(prediction.to(dtype), target.to(dtype), weight), unit)

    def add(self, errors: Float[Tensor, "batch time value"], unit: Float[Tensor, "*batch field"] | None = None) -> None:
        """Add the errors of samples to the mean.

        Args:
            errors: Error of each sample, at each lead time, in each field.
            unit: What the values of each field are multiples of, see :meth:`update`.
        """
        errors = _for_sums(errors)
        if unit is not None and self.degree:
            errors = errors * _for_sums(unit).unsqueeze(-2) ** self.degree
        worst = float("-inf" if self.higher_is_better else "inf")
        errors = errors.nan_to_num(nan=worst, posinf=torch.inf, neginf=-torch.inf)
        self.total = _sum((self.total, errors.sum(dim=0)))
        self.count = _sum((self.count, torch.full_like(errors[0], len(errors))))

    def compute(self) -> Float[Tensor, "time field"]:
        """Return the mean over the samples of all processes."""
        return self.total / self.count

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """Restore the axes of a single error, which torchmetrics squeezes."""
        squeezing: Callable[..., Tensor] = super()._wrap_compute(compute)

        @wraps(compute)
        def restoring(*args: Any, **kwargs: Any) -> Tensor:
            errors = squeezing(*args, **kwargs)
            return errors.reshape(1, 1) if errors.ndim == 0 else errors

        return restoring


def _for_sums(values: Tensor) -> Tensor:
    """Convert values to the precision of sums."""
    return values.to(held_dtype(torch.float64, values.device))


def _sum(matrices: tuple[Tensor, ...]) -> Tensor:
    """Add matrices of different sizes, padded with zeros."""
    return torch.stack(_padded(matrices)).sum(dim=0)


def _padded(matrices: tuple[Tensor, ...] | list[Tensor]) -> list[Tensor]:
    """Pad matrices with zeros to the size of the largest."""
    n_rows, n_columns = (max(sizes) for sizes in zip(*(matrix.shape for matrix in matrices), strict=True))
    return [F.pad(m, (0, n_columns - m.shape[1], 0, n_rows - m.shape[0])) for m in matrices]


def _gather(state: Tensor, group: Any = None) -> list[Tensor]:
    """Gather a state from every process, padded with zeros where one has seen fewer lead times, or no sample."""
    return _padded(gather_all_tensors(_for_sums(state), group))
