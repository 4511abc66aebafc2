r"""Conformal calibration of bands around forecasts of fields.

A band is :math:`\hat u \pm \lambda\, \sigma`, with a forecast :math:`\hat u` and a scale :math:`\sigma > 0` of its
error, point by point: the spread of an ensemble, the quantile that a network predicts, or a constant. The factor
:math:`\lambda` is found from the forecasts of n trajectories that the network was not trained on, apart for each lead
time and field. If a further trajectory is exchangeable with these n, whatever the network, one of two statements holds
for it, in the mean over draws of all n + 1 trajectories, for each lead time and field by itself:

``share=None``
    the expected share of the points that lie within the band is at least the coverage: conformal risk control,
    Angelopoulos et al. 2022, arXiv:2208.02814, theorem 1, with the share of the points outside as the loss. Not more
    than coverage + 2 / (n + 1), where no scores are tied.

``share=s``
    with a probability of at least the coverage, at least the share s of the points lies within the band: split
    conformal prediction (Angelopoulos and Bates 2021, arXiv:2107.07511, appendix D) with a quantile over the points as
    the score of a trajectory, as in Ma et al. 2024, arXiv:2402.01960, section 4; ``share=1`` holds the whole field. Not
    more than coverage + 1 / (n + 1), where no scores are tied.

A trajectory is the unit that is exchangeable, not a point: points and lead times of one trajectory depend on each
other. (Gopakumar et al. 2024, arXiv:2408.09881, calibrate each point of the grid by itself, which holds the coverage
point by point and takes as many factors as points.) Nothing is promised for a given trajectory, a given parameter, or
data that come from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fno_lightning.devices import held_dtype

_OCTAVES = 24
_EDGES_IN_OCTAVE = 64
_EDGES = 2.0 ** (
    torch.arange(-_OCTAVES * _EDGES_IN_OCTAVE, _OCTAVES * _EDGES_IN_OCTAVE + 1).double() / _EDGES_IN_OCTAVE
)
"""Factors to choose from without a share, 1 % apart; rounding a factor up keeps the coverage."""


def least_trajectories(coverage: float) -> int:
    """Return how many trajectories a calibration takes: ⌈1/α⌉ - 1 with α = 1 - coverage.

    With fewer the band would have to be infinite, for either guarantee.

    >>> [least_trajectories(coverage) for coverage in (0.5, 0.9, 0.95)]
    [1, 9, 19]
    """
    return math.ceil(round(1 / (1 - coverage), 9)) - 1


def require_coverage(coverage: float, share: float | None = None) -> None:
    """Check what a calibration is asked for.

    Raises:
        ValueError: if the coverage is not between 0 and 1, or the share of points not above 0 and at most 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage is {coverage}, expected a number between 0 and 1, such as 0.9")
    if share is not None and not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a part of the points, above 0 and at most 1, or null")


@dataclass(frozen=True)
class ConformalBands:
    """Factors of calibrated bands; see the top of this file for what they promise.

    Attributes:
        coverage: The coverage asked for, 1 - α.
        share: Share of the points that is covered with this probability; ``None``: the coverage is that share, on
            average.
        factor: Multiples of the scale, ``(time, field)``, float64; infinite where too few trajectories reach.
        n_trajectories: Number of trajectories that the factor of each lead time is from, ``(time,)``.
    """

    coverage: float
    share: float | None
    factor: Float[Tensor, "time field"]
    n_trajectories: Int[Tensor, " time"]

    @property
    def n_steps(self) -> int:
        """Number of lead times with a band that is finite in all fields."""
        unknown = (~self.factor.isfinite().all(dim=1)).nonzero()
        return int(unknown[0]) if len(unknown) else len(self.factor)

    @property
    def meaning(self) -> str:
        """What the bands promise, in a few words."""
        if self.share is None:
            return f"{self.coverage:.4g} of the points, on average"
        return f"{self.share:.4g} of the points, of {self.coverage:.4g} of the trajectories"

    def half_width(self, scale: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field *grid"]:
        """Return half of the width of the band, infinite beyond the lead times of the calibration.

        Args:
            scale: Scale of the error, positive.
        """
        n_steps, n_fields = scale.shape[1:3]
        factor = self.factor[:n_steps].to(scale)
        factor = torch.cat((factor, factor.new_full((n_steps - len(factor), n_fields), torch.inf)))
        return scale * factor.view(1, n_steps, n_fields, *(1,) * (scale.ndim - 3))

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return {
            "coverage": self.coverage,
            "share": self.share,
            "factor": self.factor.tolist(),
            "n_trajectories": self.n_trajectories.tolist(),
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> ConformalBands:
        """Return the bands of :meth:`to_plain`."""
        factor = torch.tensor(values["factor"], dtype=torch.float64)
        return cls(values["coverage"], values["share"], factor, torch.tensor(values["n_trajectories"]))


class ConformalScores:
    """Scores of the forecasts of calibration trajectories, collected batch by batch.

    Without a share, the scores of all points are counted in bins by their size; else each trajectory has one score, the
    smallest factor whose band holds the share of its points.

    Args:
        coverage: The coverage asked for, 1 - α.
        share: Share of the points; ``None``: the coverage is that share, on average.

    Raises:
        ValueError: if one of them is out of range.
    """

    def __init__(self, coverage: float, share: float | None = None) -> None:
        require_coverage(coverage, share)
        self.coverage = coverage
        self.share = share
        self._of_trajectories: list[Tensor] = []
        """Scores of each trajectory, ``(time, field)``."""
        self._in_bins: list[Tensor] = []
        """Sum over the trajectories of the share of their points in each bin, ``(field, bin)``, by lead time."""
        self._lengths: list[int] = []

    def update(
        self,
        forecast: Float[Tensor, "batch time field *grid"],
        scale: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
    ) -> None:
        """Add the forecasts of a batch of trajectories; one that is not finite counts as infinitely wrong."""
        scores = ((target - forecast).abs() / scale).to(held_dtype(torch.float64, target.device)).flatten(3)
        scores = scores.nan_to_num(nan=torch.inf, posinf=torch.inf)
        self._lengths += [scores.shape[1]] * len(scores)
        if self.share is None:
            self._in_bins = _added(self._in_bins, list(_binned(scores).sum(dim=0)))
            return
        rank = math.ceil(round(self.share * scores.shape[-1], 6))
        self._of_trajectories += scores.kthvalue(max(rank, 1), dim=-1).values.cpu().double().unbind()

    def merge(self, others: Sequence[ConformalScores]) -> ConformalScores:
        """Return the scores of these and other trajectories together, such as those of other processes."""
        merged = ConformalScores(self.coverage, self.share)
        for scores in (self, *others):
            merged._of_trajectories += scores._of_trajectories
            merged._in_bins = _added(merged._in_bins, scores._in_bins)
            merged._lengths += scores._lengths
        return merged

    def bands(self) -> ConformalBands:
        """Return the bands that the trajectories calibrate.

        Lead times that too few trajectories reach have infinite ones.

        Raises:
            ValueError: if there are too few trajectories; says how many are needed.
        """
        n, n_needed = len(self._lengths), least_trajectories(self.coverage)
        if n < n_needed:
            raise ValueError(
                f"a coverage of {self.coverage:.4g} takes at least {n_needed} calibration trajectories, but there are "
                f"{n}: add some (n_valid of generated data), or ask for a coverage of at most {n / (n + 1):.4g}"
            )
        counts = [sum(length > step for length in self._lengths) for step in range(max(self._lengths))]
        factors = [
            self._factor(step, count) if count >= n_needed else torch.full_like(self._factor(0, n), torch.inf)
            for step, count in enumerate(counts)
        ]
        return ConformalBands(self.coverage, self.share, torch.stack(factors), torch.tensor(counts))

    def _factor(self, step: int, n: int) -> Float[Tensor, " field"]:
        """Return the factor of each field at a lead time that n trajectories reach."""
        if self.share is not None:
            scores = torch.stack([scores[step] for scores in self._of_trajectories if len(scores) > step])
            return scores.sort(dim=0).values[math.ceil(round((n + 1) * self.coverage, 9)) - 1]
        n_missed = n - self._in_bins[step].cumsum(dim=-1)  # the share of points above each edge, of all trajectories
        is_too_narrow = (n_missed + 1) / (n + 1) > 1 - self.coverage + 1e-9
        return torch.cat((_EDGES, _EDGES.new_full((1,), torch.inf)))[is_too_narrow[..., :-1].sum(dim=-1)]


def _binned(scores: Float[Tensor, "batch time field point"]) -> Float[Tensor, "batch time field bin"]:
    """Return the share of the points with a score up to each edge, above the one before; the last bin is the rest."""
    n_bins, n_points = len(_EDGES) + 1, scores.shape[-1]
    rows = scores.flatten(0, 2)
    bins = torch.bucketize(rows, _EDGES.to(rows))
    counts = rows.new_zeros(len(rows), n_bins).scatter_add_(1, bins, torch.ones_like(rows))
    return (counts / n_points).view(*scores.shape[:3], n_bins).cpu().double()


def _added(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
    """Add lists of tensors, of which one may be longer."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    return [a + b for a, b in zip(longer, shorter, strict=False)] + longer[len(shorter) :]
