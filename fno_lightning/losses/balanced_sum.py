"""Base class of sums of losses whose weights follow the training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed

from fno_lightning.devices import PreciseBuffers
from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses.base import Comparison, Loss
from fno_lightning.losses.by_field import ByField
from fno_lightning.losses.loss_sum import LossSum, members


class BalancedSum(LossSum, PreciseBuffers):
    r"""Sum of losses with weights that follow the training: :math:`\sum_i f_i \, \lambda_i \, \mathrm{loss}_i`.

    A subclass says how the weights :math:`\lambda_i` follow from the losses; those of a
    :class:`~fno_lightning.losses.ByField` are terms of their own. The factors :math:`f_i` do not enter the balance; a
    term with a factor of 0, and a field that does not vary in the train split, takes no part in it.

    The weights are updated once in each optimizer step of a training, before they are used: with gradient accumulation
    from the first of the batches that are accumulated, with an optimizer that computes the loss several times (LBFGS)
    from the first time. Validation and test leave them alone, and compare with all weights 1, so that their losses do
    not depend on the training. Values that are not finite change nothing. All processes of a distributed training have
    the same weights, those of the mean over their batches.

    The state lies in buffers, and so in the checkpoint of a module; a training that is resumed goes on with it, a
    module with another loss leaves it out. Tensors are changed in place, without a look at their values, as CUDA graphs
    need it. A module logs the weights, factors included, as ``train/loss_weight/<name>``.

    Args:
        losses: The losses, in a list or by name, each with its own units.
        factors: :math:`f_i`, in a list or by name; ``None``, and those that are not named: 1.

    Raises:
        ValueError: see :class:`~fno_lightning.losses.LossSum`; if all factors are 0.
    """

    advances: bool = True
    """Whether a training step updates the weights; a module turns it off for all but the first batch of a step."""
    weights: Tensor
    """Weight of each term, without the factors."""
    n_updates: Tensor
    """Number of updates of the weights."""

    def __init__(
        self,
        losses: Sequence[Loss] | Mapping[str, Loss],
        factors: Sequence[float] | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(losses, factors)
        if not any(self.factors):
            raise ValueError(f"the factors of all losses {list(self.names)} are 0: nothing would be trained")
        self._restart()

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms; a field of a ByField is ``<name>/<field>``, once the fields are known."""
        return tuple(
            term
            for name, loss in zip(self.names, members(self.losses), strict=True)
            for term in ([f"{name}/{field}" for field in loss.fields] if isinstance(loss, ByField) else [name])
        )

    def bind(self, spec: FieldSpec) -> None:
        """Hand the description of the data on to every loss, and start the balance anew; see :meth:`Loss.bind`."""
        super().bind(spec)
        self._restart()

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Let every loss leave out fields, and the balance too; see :meth:`Loss.leave_out`."""
        super().leave_out(varies)
        self._factor.copy_(self._factor_of_terms())  # in place, where captured steps read it

    def terms(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> list[Float[Tensor, ""]]:
        """Return the terms, before they are weighted; the fields of a ByField one by one."""
        return [
            term
            for loss in members(self.losses)
            for term in (loss.terms(prediction, target) if isinstance(loss, ByField) else [loss(prediction, target)])
        ]

    def terms_of(self, comparison: Comparison) -> list[Float[Tensor, ""]]:
        """Return the same of a module's prediction, each loss in its own units."""
        terms: list[Tensor] = []
        for loss in members(self.losses):
            if isinstance(loss, ByField):
                terms += loss.terms(*comparison.in_units(loss.units))
            else:
                terms.append(loss.compare(comparison))
        return terms

    def weigh(self, terms: Sequence[Float[Tensor, ""]]) -> Float[Tensor, " term"]:
        """Return the weights of the terms, in a training step after their update."""
        factor = self._factor_on(terms[0].device)
        if not self.training:
            return factor
        if self.advances and torch.is_grad_enabled():
            self._advance(terms, factor > 0)
        return factor * self.weights

    @abstractmethod
    def initial_state(self, n_terms: int) -> dict[str, Tensor]:
        """Return the state of the balance before the first step, by the name of its buffer, ``weights`` among them."""

    @abstractmethod
    def next_state(self, measured: Float[Tensor, " term"], takes_part: Bool[Tensor, " term"]) -> dict[str, Tensor]:
        """Return the state after a step.

        Args:
            measured: What :meth:`measure` returns.
            takes_part: Which terms are balanced.
        """

    def measure(self, terms: Sequence[Float[Tensor, ""]]) -> Float[Tensor, " term"]:
        """Return what the weights follow from, mean over the processes: the values of the terms."""
        return mean_over_processes(torch.stack(list(terms)).detach().to(self.weights.dtype))

    def report(self) -> dict[str, Tensor]:
        """Return terms and weights of the last training step; see :meth:`LossSum.report`."""
        if self._seen is None:
            return super().report()
        weights = zip(self.term_names, self._seen[1], strict=True)
        return super().report() | {f"loss_weight/{name}": weight for name, weight in weights}

    def _advance(self, terms: Sequence[Tensor], takes_part: Tensor) -> None:
        measured = self.measure(terms)
        with torch.no_grad():
            is_finite = torch.where(takes_part, measured, 0).isfinite().all()
            state = self.next_state(measured, takes_part) | {"n_updates": self.n_updates + 1}
            for name, value in state.items():
                buffer = self.get_buffer(name)
                buffer.copy_(torch.where(is_finite, value, buffer))

    def _restart(self) -> None:
        """Make the state of a new training."""
        state = self.initial_state(len(self.term_names)) | {"n_updates": torch.zeros(())}
        for name, value in state.items():
            self.register_buffer(name, value.double() if value.is_floating_point() else value)
        self._factor = self._factor_of_terms()

    def _factor_of_terms(self) -> Tensor:
        factors: list[float] = []
        for factor, loss in zip(self.factors, members(self.losses), strict=True):
            if not isinstance(loss, ByField):
                factors.append(factor)
            elif loss.weight is not None:
                factors += [factor * weight / len(loss.fields) for weight in loss.weight.tolist()]
        return torch.tensor(factors, dtype=torch.float64)


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes of a distributed training."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(values)
        values /= distributed.get_world_size()
    return values


def require_positive(**options: float) -> None:
    """Check options.

    Raises:
        ValueError: if one is not positive and finite; names it.
    """
    for name, value in options.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value}")


def require_fraction(**options: float) -> None:
    """Check options.

    Raises:
        ValueError: if one is not between 0 and 1; names it.
    """
    for name, value in options.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value}")
