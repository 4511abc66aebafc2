"""How far training unrolls a forecast, and which part of it the gradient goes through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from fno_lightning.arguments import plain, require_list


class Horizon(NamedTuple):
    """Applications of a network in one forecast of the training.

    Attributes:
        n_applications: Number of applications, one after the other.
        n_without_gradient: Number of the first of them that no gradient is computed for; the loss compares the frames
            of the others.
    """

    n_applications: int
    n_without_gradient: int


class Unrolling(ABC):
    """How far each forecast of the training goes, in applications of the network.

    An application predicts one frame, or a bundle of several; the target of a training sample has to be as long as the
    longest forecast (``data.init_args.n_steps_output``).
    """

    @property
    @abstractmethod
    def longest(self) -> int | None:
        """Largest number of applications; ``None``: as many as the target has room for."""

    @abstractmethod
    def horizon(self, n_possible: int, progress: float, draw: float) -> Horizon:
        """Return the horizon of a training step.

        Args:
            n_possible: Number of applications that the target has room for.
            progress: Part of the training that is over, from 0 to 1.
            draw: Random number of the step, evenly distributed over [0, 1); the same in all processes.
        """


class Unrolled(Unrolling):
    """Unroll further and further while training goes on: a curriculum from one application to many.

    From ``begin`` to ``end`` of the training the horizon grows by one application after equal times. The loss compares
    all frames that the gradient goes through; with ``gradient_steps`` these are the last ones, and what comes before is
    a start from the network's own forecast.

    Args:
        max_steps: Longest horizon, in applications of the network; ``None``: as long as the target.
        begin: Part of the training before the horizon grows.
        end: Part of the training after which the horizon is the longest; 0: it is so from the start.
        gradient_steps: Number of last applications that the gradient goes through; ``None``: all.

    Raises:
        ValueError: if a number of steps is not positive, or not ``0 <= begin <= end <= 1``.
    """

    def __init__(
        self, max_steps: int | None = None, begin: float = 0.0, end: float = 0.5, gradient_steps: int | None = None
    ) -> None:
        _require_positive(max_steps=max_steps, gradient_steps=gradient_steps)
        _require_parts(begin, end)
        self.max_steps = max_steps
        self.begin = begin
        self.end = end
        self.gradient_steps = gradient_steps

    @property
    def longest(self) -> int | None:
        """Largest number of applications."""
        return self.max_steps

    def horizon(self, n_possible: int, progress: float, draw: float) -> Horizon:
        """Return the horizon of a training step; see :meth:`Unrolling.horizon`."""
        longest = self.max_steps or n_possible
        n = 1 + min(int(_part_between(self.begin, self.end, progress) * longest), longest - 1)
        return Horizon(n, n - min(n, self.gradient_steps or n))


class Pushforward(Unrolling):
    """Start some steps of the training from the network's own forecast, which no gradient goes through.

    So the network learns from inputs with the errors that it makes itself, at the cost of a few forward passes. The
    number of applications before the ones that are compared is drawn for each step: 0 until ``begin``, and then with
    probabilities that go linearly to ``probabilities`` at ``end``.

    Args:
        probabilities: Probability of 0, 1, 2 and so on applications without gradient; scaled to a sum of 1.
        begin: Part of the training before which nothing is pushed forward.
        end: Part of the training after which the probabilities are the given ones.
        gradient_steps: Number of applications that follow and are compared with the target.

    Raises:
        ValueError: if ``probabilities`` are empty, negative or all 0, ``gradient_steps`` is not positive, or not
            ``0 <= begin <= end <= 1``.

    Reference: Brandstetter et al. 2022, arXiv:2202.03376, section 3.1 ("pushforward trick").
    """

    def __init__(
        self,
        probabilities: Sequence[float] = (0.4, 0.2, 0.2, 0.2),
        begin: float = 0.2,
        end: float = 1.0,
        gradient_steps: int = 1,
    ) -> None:
        require_list(probabilities=probabilities)
        _require_positive(gradient_steps=gradient_steps)
        _require_parts(begin, end)
        given = [float(p) for p in plain(probabilities, "probabilities")]
        if not given or min(given) < 0 or not 0 < sum(given) < float("inf"):
            raise ValueError(f"probabilities must be at least 0 and not all 0, got {given}")
        self.probabilities = [p / sum(given) for p in given]
        self.begin = begin
        self.end = end
        self.gradient_steps = gradient_steps

    @property
    def longest(self) -> int:
        """Largest number of applications."""
        return len(self.probabilities) - 1 + self.gradient_steps

    def horizon(self, n_possible: int, progress: float, draw: float) -> Horizon:
        """Return the horizon of a training step; see :meth:`Unrolling.horizon`."""
        part = _part_between(self.begin, self.end, progress)
        now = [part * p + (1 - part) * (k == 0) for k, p in enumerate(self.probabilities)]
        pushed = min(bisect_right(list(accumulate(now)), draw), len(now) - 1)
        return Horizon(pushed + self.gradient_steps, pushed)


def _part_between(begin: float, end: float, progress: float) -> float:
    """Return how much of the way from ``begin`` to ``end`` is done, from 0 to 1."""
    if progress >= end:
        return 1.0
    return max(0.0, progress - begin) / (end - begin)


def _require_positive(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")


def _require_parts(begin: float, end: float) -> None:
    if not 0 <= begin <= end <= 1:
        raise ValueError(f"begin and end are parts of the training, 0 <= begin <= end <= 1, got {begin} and {end}")
