"""What an equation says of a field: the residual."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from fno_lightning.derivatives import GridDerivatives


class TrialSolution(NamedTuple):
    """Fields that may solve an equation, in physical units.

    Attributes:
        fields: Fields by name, vectors by component, ``(batch, time, *grid)``; one entry along time without time.
        constants: Fields without time dependence by name, ``(batch, *grid)``.
        scalars: Parameters by name, ``(batch,)``.
        n_known: Number of first frames that are given, such as the initial state: nothing is asked of them alone.
        time_step: Time between two frames; ``None`` without time.
        derivatives: Derivatives on the grid, in the units of the coordinates: spectral along periodic axes, elsewhere
            finite differences.
    """

    fields: Mapping[str, Tensor]
    constants: Mapping[str, Tensor]
    scalars: Mapping[str, Tensor]
    n_known: int
    time_step: float | None
    derivatives: GridDerivatives


class Residual(NamedTuple):
    """What is left when fields are put into equations.

    Attributes:
        values: The residuals, 0 for a solution, ``(batch, time, equation, *grid)``.
        scale: How large the terms of each equation are, ``(batch, equation)``; positive.
    """

    values: Float[Tensor, "batch time equation *grid"]
    scale: Float[Tensor, "batch equation"]


class Equation(ABC):
    """An equation that fields satisfy, for :class:`~fno_lightning.losses.EquationResidual`.

    A subclass of one's own overrides :meth:`residual`; it is constructed from plain values, so that a YAML file can
    name it. Example, heat in one dimension, with the trapezoidal rule between frames::

        class Heat(Equation):
            def residual(self, solution):
                u = solution.fields["temperature"]
                rate = solution.scalars["diffusivity"].view(-1, 1, 1) * solution.derivatives.laplacian(u)
                change = u[:, 1:] - u[:, :-1] - solution.time_step * (rate[:, 1:] + rate[:, :-1]) / 2
                return Residual(change[:, :, None], u[:, 0].std(dim=-1, keepdim=True))
    """

    @abstractmethod
    def residual(self, solution: TrialSolution) -> Residual:
        """Return the residual of fields, differentiable.

        Raises:
            ValueError: if a field, constant field or scalar is missing, or there are too few frames.
        """


def named(values: Mapping[str, Tensor], names: tuple[str, ...], what: str) -> tuple[Tensor, ...]:
    """Return entries by name.

    Raises:
        ValueError: if one is missing; names it.
    """
    if missing := [name for name in names if name not in values]:
        raise ValueError(f"the equation needs the {what} {list(names)}, but the data lack {missing}")
    return tuple(values[name] for name in names)
