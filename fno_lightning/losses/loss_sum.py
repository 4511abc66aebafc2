"""Base class of sums of losses."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import require_list
from fno_lightning.devices import held_dtype
from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses.base import Comparison, Loss
from fno_lightning.pdes.equation import Equation


class LossSum(Loss):
    r"""Sum of losses, each times a weight: :math:`\sum_i w_i \, \mathrm{loss}_i`; a subclass says what the weights are.

    A module logs the terms, before they are weighted, as ``train/loss_term/<name>``.

    Args:
        losses: The losses, in a list or by name, each with its own units. Those of a list are called after their
            classes.
        factors: A number for each loss, in a list or by name; ``None``, and those that are not named: 1.

    Raises:
        ValueError: if there are no losses, not as many factors as losses, or a factor has the name of none or is
            negative or infinite; without a module, if the losses compare fields in different units.
        TypeError: if one is no :class:`~fno_lightning.losses.Loss`.
    """

    def __init__(
        self,
        losses: Sequence[Loss] | Mapping[str, Loss],
        factors: Sequence[float] | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        named = _named(losses)
        self.names: tuple[str, ...] = tuple(named)
        self.losses = nn.ModuleList(named.values())
        self.factors = _factors(factors, self.names)
        self.units = next(iter(named.values())).units
        self._factor = torch.tensor(self.factors, dtype=torch.float64)  # no buffer, which would be averaged with others
        self._seen: Tensor | None = None

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms."""
        return self.names

    @property
    def weighs_points(self) -> bool:
        """Whether all losses do; see :class:`~fno_lightning.losses.Loss`."""
        return all(loss.weighs_points for loss in members(self.losses))

    def bind(self, spec: FieldSpec) -> None:
        """Hand the description of the data on to every loss; see :meth:`Loss.bind`."""
        for loss in members(self.losses):
            loss.bind(spec)

    def take_equation(self, equation: Equation | None) -> None:
        """Hand the equation of the data on to every loss; see :meth:`Loss.take_equation`."""
        for loss in members(self.losses):
            loss.take_equation(equation)

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Let every loss leave out fields; see :meth:`Loss.leave_out`."""
        for loss in members(self.losses):
            loss.leave_out(varies)

    def terms(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> list[Float[Tensor, ""]]:
        """Return the terms, before they are weighted."""
        return [loss(prediction, target) for loss in members(self.losses)]

    def terms_of(self, comparison: Comparison) -> list[Float[Tensor, ""]]:
        """Return the same of a module's prediction, each loss in its own units."""
        return [loss.compare(comparison) for loss in members(self.losses)]

    @abstractmethod
    def weigh(self, terms: Sequence[Float[Tensor, ""]]) -> Float[Tensor, " term"]:
        """Return the weights of the terms, on their device."""

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the sum.

        Raises:
            ValueError: if the losses compare fields in different units.
        """
        common_units(members(self.losses))
        return self._sum(self.terms(prediction, target))

    def compare(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the sum, each loss in its own units; see :meth:`Loss.compare`."""
        return self._sum(self.terms_of(comparison))

    def _sum(self, terms: list[Tensor]) -> Tensor:
        weights = self.weigh(terms)
        values = torch.stack(terms)
        if self.training:
            self._keep(values, weights)
        return (weights.to(values.dtype) * values).sum()

    def report(self) -> dict[str, Tensor]:
        """Return what the last training step saw, by the end of its name in a log: ``loss_term/<name>``.

        The tensors change with the next step. Sums within the sum are reported too, as ``loss_term/<name>/<name>``.
        """
        report = {}
        if self._seen is not None:
            report = {f"loss_term/{name}": value for name, value in zip(self.term_names, self._seen[0], strict=True)}
        for name, loss in zip(self.names, members(self.losses), strict=True):
            for inner, value in loss.report().items() if isinstance(loss, LossSum) else ():
                kind, _, term = inner.partition("/")
                report[f"{kind}/{name}/{term}"] = value
        return report

    def _factor_on(self, device: torch.device) -> Tensor:
        """Return the factor of each term, on a device."""
        if self._factor.device != device:
            self._factor = self._factor.to(device, held_dtype(self._factor.dtype, device))
        return self._factor

    def _keep(self, terms: Tensor, weights: Tensor) -> None:
        """Keep terms and weights for the log, in place, where captured steps write them."""
        if self._seen is None or self._seen.shape[1] != len(terms) or self._seen.device != terms.device:
            self._seen = torch.zeros(2, len(terms), device=terms.device)
        self._seen[0].copy_(terms.detach())
        self._seen[1].copy_(weights.detach())


def members(losses: nn.ModuleList) -> list[Loss]:
    """Return the losses of a list of modules, which are all of them."""
    return [loss for loss in losses if isinstance(loss, Loss)]


def common_units(losses: Sequence[Loss]) -> Literal["normalized", "spreads", "physical"]:
    """Return the units in which losses of one sum compare fields.

    Raises:
        ValueError: if they differ.
    """
    if any(loss.units != losses[0].units for loss in losses):
        units = ", ".join(f"{loss.units} ({type(loss).__name__})" for loss in losses)
        raise ValueError(f"without a module, losses of one sum compare fields in the same units, got {units}")
    return losses[0].units


def _named(losses: Sequence[Loss] | Mapping[str, Loss]) -> dict[str, Loss]:
    """Return losses by name; those of a list are called after their classes, and numbered where there are several."""
    if isinstance(losses, Mapping):
        named = dict(losses)
    else:
        require_list(losses=losses)
        classes = [type(loss).__name__ for loss in losses]
        several, numbers = Counter(classes), Counter[str]()
        named = {}
        for name, loss in zip(classes, losses, strict=True):
            numbers[name] += 1
            named[f"{name}_{numbers[name]}" if several[name] > 1 else name] = loss
    if wrong := {name: type(loss).__name__ for name, loss in named.items() if not isinstance(loss, Loss)}:
        raise TypeError(f"a sum takes losses of fno_lightning.losses, or subclasses of Loss, got {wrong}")
    return named


def _factors(factors: Any, names: Sequence[str]) -> list[float]:
    """Return a factor for each name."""
    if factors is None:
        factors = [1.0] * len(names)
    if isinstance(factors, Mapping):
        if unknown := sorted(set(factors) - set(names)):
            raise ValueError(f"factors name the losses {unknown}, but the sum has {list(names)}")
        factors = [factors.get(name, 1.0) for name in names]
    require_list(factors=factors)
    values = [float(factor) for factor in factors]
    if not names or len(values) != len(names):
        raise ValueError(f"a sum needs losses and a factor for each, got {len(names)} and {len(values)}")
    if wrong := [factor for factor in values if not 0 <= factor < float("inf")]:
        raise ValueError(f"factors of losses are numbers of at least 0, got {wrong}")
    return values
