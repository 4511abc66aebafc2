"""Measure contestants in turn, and compare them round by round."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

logger = logging.getLogger(__name__)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """Settings of a run of the suite.

    Args:
        quick: Take fewer rounds, and leave out what takes long to compile and decides no ratio.
        tiny: Take one round at the smallest sizes and compile nothing, to see whether everything runs.
        device: Device of the networks.
        deadline: Time, on :func:`time.perf_counter`, after which no further round is begun.
    """

    quick: bool = False
    tiny: bool = False
    device: torch.device = CPU
    deadline: float = math.inf

    @property
    def compile(self) -> bool:
        """Whether to compile our networks."""
        return not self.tiny

    @property
    def compile_unless_quick(self) -> bool:
        """Whether to compile our networks in the rows that a quick run takes eagerly."""
        return self.compile and not self.quick

    def n_rounds(self, full: int) -> int:
        """Return the number of rounds of a comparison that has ``full`` of them when there is time."""
        return 1 if self.tiny else max(2, full // 2) if self.quick else full

    def rounds(self, full: int) -> Iterator[int]:
        """Yield the numbers of the rounds: at least one, and others until the deadline."""
        for number in range(self.n_rounds(full)):
            if number and time.perf_counter() > self.deadline:
                return
            yield number

    def size(self, full: int, tiny: int) -> int:
        """Return a size, reduced in a tiny run."""
        return tiny if self.tiny else full


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison.

    Args:
        measure: Does the work once and returns its measure, seconds mostly.
        rival: Contestant listed earlier; if this one takes more than twice as long in the first round, it is not run
            again.
        warm_up: Calls before the first round.
    """

    measure: Callable[[], float]
    rival: str | None = None
    warm_up: int = 1


@dataclass(frozen=True)
class Series:
    """Measures of one contestant, one a round.

    Args:
        contestant: Its name.
        values: Measures.
        unit: Unit of the measures.
    """

    contestant: str
    values: Sequence[float]
    unit: str = "s"

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile over the rounds."""
        return quartiles(self.values)


@dataclass(frozen=True)
class Measurement:
    """Result of a row.

    Args:
        ratios: Figure that is compared with the target, one a round.
        ours: Our measures.
        peer: Measures of the peer; ``None`` where the target is an absolute figure.
        others: Measures of further contestants, for people to read.
        notes: Sizes, checks and other remarks.
    """

    ratios: Sequence[float]
    ours: Series
    peer: Series | None = None
    others: Sequence[Series] = ()
    notes: Sequence[str] = ()

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Row:
    """A line of the table with its target.

    Args:
        name: Name on the command line and in the results.
        what: Subject of the comparison.
        target: Figure to be reached.
        bound: Whether the figure has to be at least or at most the target.
    """

    name: str
    what: str
    target: float
    bound: Literal["at least", "at most"] = "at least"

    def is_reached(self, ratio: float) -> bool:
        """Whether a figure reaches the target."""
        return ratio >= self.target if self.bound == "at least" else ratio <= self.target


@dataclass(frozen=True)
class Benchmark:
    """Rows that are measured together.

    Args:
        rows: The rows.
        measure: Returns the measurement of each row by its name; a row whose peer cannot run is left out.
        peers: Modules that must be installed.
        seconds: Time for the rows in a quick run on 2 cores: no further round is begun after it.
    """

    rows: Sequence[Row]
    measure: Callable[[Settings], Mapping[str, Measurement]]
    peers: Sequence[str] = ()
    seconds: float = 20


def interleave(
    contestants: Mapping[str, Contestant], rounds: Iterable[int], *, unit: str = "s", scale: float = 1.0
) -> dict[str, Series]:
    """Measure all contestants in every round, so that other load on the machine affects all of them.

    Args:
        contestants: The contestants by name, in the order of their turns.
        rounds: Numbers of the rounds, from 0.
        unit: Unit of the scaled measures.
        scale: Factor of the measures.
    """
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for name, contestant in contestants.items():
        begin = time.perf_counter()
        for _ in range(contestant.warm_up):
            contestant.measure()
        logger.info("  %s: warm after %.1f s", name, time.perf_counter() - begin)
    for number in rounds:
        for name, contestant in contestants.items():
            if number and contestant.rival and values[name][0] > 2 * values[contestant.rival][0]:
                continue
            values[name].append(scale * contestant.measure())
    series = {name: Series(name, measured, unit) for name, measured in values.items()}
    for name, measured in series.items():
        logger.info("  %s: %.4g %s, %d rounds", name, measured.median, unit, len(measured.values))
    return series


def paired_ratios(numerator: Series, denominator: Series) -> list[float]:
    """Return the ratios of measures of the same round; leave out rounds that only one of them has."""
    return [n / d for n, d in zip(numerator.values, denominator.values, strict=False)]


def fastest(series: Mapping[str, Series], names: Sequence[str]) -> Series:
    """Return the series with the smallest median."""
    return min((series[name] for name in names), key=lambda one: one.median)


def times_as_fast(
    series: Mapping[str, Series], ours: Sequence[str], peers: Sequence[str], notes: Sequence[str] = ()
) -> Measurement:
    """Compare the fastest of ours with the fastest of the peers, and keep the others to be shown."""
    our_best, peer_best = fastest(series, ours), fastest(series, peers)
    others = [one for one in series.values() if one not in (our_best, peer_best)]
    return Measurement(paired_ratios(peer_best, our_best), our_best, peer_best, others, notes)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and third quartile; of a single value, that value."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of one call, until the device has done its work."""
    synchronize(device)
    begin = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - begin


def with_tf32(measure: Callable[[], float]) -> float:
    """Measure while PyTorch may use TF32 for float32 products, as JAX does by default on a GPU."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return measure()
    finally:
        torch.set_float32_matmul_precision(before)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
