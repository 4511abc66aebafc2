"""Order of the runs: in turns, the learning rates with the first seed, then the other seeds at the best rate."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Entrant:
    """A contestant as the plan knows it.

    Attributes:
        name: Name of its file.
        rates: Learning rates to choose from; one for a contestant that is not trained.
        is_trained: Whether other seeds make a difference.
    """

    name: str
    rates: tuple[float, ...]
    is_trained: bool = True


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        contestant: Name of the contestant.
        rate: Learning rate.
        seed: Seed of weights and batches.
    """

    contestant: str
    rate: float
    seed: int

    @property
    def folder(self) -> str:
        """Folder of the run, in that of the race."""
        return f"runs/{self.contestant}/lr_{self.rate:g}_seed_{self.seed}"

    def __str__(self) -> str:
        return f"{self.contestant}, learning rate {self.rate:g}, seed {self.seed}"


Scores: TypeAlias = Mapping[Run, float]
"""Validation error of each run that has ended, infinite for one that failed."""


def next_run(
    entrants: Sequence[Entrant], scores: Scores, seeds: Sequence[int], running: Collection[Run] = ()
) -> Run | None:
    """Return the run whose turn it is; ``None`` when all have ended or are running, as far as they are known."""
    return next((run for run in planned(entrants, scores, seeds) if run not in scores and run not in running), None)


def planned(entrants: Sequence[Entrant], scores: Scores, seeds: Sequence[int]) -> list[Run]:
    """Return the runs in their order, as far as is known: the best rate only once all of a contestant have ended."""
    runs = [
        Run(entrant.name, entrant.rates[i], seeds[0])
        for i in range(max((len(entrant.rates) for entrant in entrants), default=0))
        for entrant in entrants
        if i < len(entrant.rates)
    ]
    rates = {entrant.name: best_rate(entrant, scores, seeds[0]) for entrant in entrants if entrant.is_trained}
    return runs + [Run(name, rate, seed) for seed in seeds[1:] for name, rate in rates.items() if rate is not None]


def best_rate(entrant: Entrant, scores: Scores, seed: int) -> float | None:
    """Return the learning rate with the smallest error; ``None`` before all have ended, or if all failed."""
    by_rate = {rate: scores.get(Run(entrant.name, rate, seed)) for rate in entrant.rates}
    known = {rate: score for rate, score in by_rate.items() if score is not None}
    if len(known) < len(by_rate):
        return None
    best = min(known, key=lambda rate: known[rate])
    return best if math.isfinite(known[best]) else None
