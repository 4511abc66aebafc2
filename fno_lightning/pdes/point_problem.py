"""Problems whose solutions are given at scattered points of domains that differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor


class PointSolution(NamedTuple):
    """Solution of a problem at the points of one domain.

    Attributes:
        positions: Coordinates, ``(point, dim)``.
        weight: Part of the domain that each point stands for, ``(point,)``.
        constant_fields: What is given, by name, ``(point,)``.
        fields: What is to be predicted, by name, ``(point,)``.
    """

    positions: Float[Tensor, "point dim"]
    weight: Float[Tensor, " point"]
    constant_fields: dict[str, Tensor]
    fields: dict[str, Tensor]


class PointProblem(ABC):
    """A steady problem on random domains: seeds in, solutions at scattered points out.

    A subclass is a frozen dataclass of plain values, so that a YAML file can name it.
    """

    dataset_name: ClassVar[str]
    """Name of the data set that the solutions form."""
    constant_field_names: ClassVar[tuple[str, ...]] = ()
    """Names of what is given."""
    field_names: ClassVar[tuple[str, ...]]
    """Names of what is to be predicted."""

    def __post_init__(self) -> None:
        """Make tuples of the arguments that are lists, as in YAML."""
        for name, value in vars(self).items():
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments as plain values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @property
    @abstractmethod
    def box(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper edge along each coordinate of a box that holds all domains."""

    @property
    @abstractmethod
    def most_points(self) -> int:
        """Largest number of points."""

    @abstractmethod
    def solve(self, seeds: Sequence[int]) -> list[PointSolution]:
        """Return the solution of each seed, in float32."""
