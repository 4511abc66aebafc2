"""Choice of the trajectories that are drawn: some that are evenly spaced, and the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fno_lightning.callbacks.trajectory_errors import TrajectoryErrors
from fno_lightning.data import Batch, FieldSpec
from fno_lightning.modules import ForecastDistribution
from fno_lightning.viz import Forecast


class EvenlySpaced:
    """Keep forecasts of trajectories that are evenly spaced over the batches, on the CPU.

    Args:
        n_forecasts: Number of forecasts to keep.
        n_batches: Number of batches to choose from.
        spec: Specification of the data set.
    """

    def __init__(self, n_forecasts: int, n_batches: int, spec: FieldSpec) -> None:
        last = n_batches - 1
        self.forecasts: list[Forecast] = []
        self._of_batch = Counter(round(i * last / max(n_forecasts - 1, 1)) for i in range(n_forecasts))
        self._spec = spec

    def draws(self, k: int) -> bool:
        """Whether a forecast of batch ``k`` is to be drawn."""
        return self._of_batch[k] > 0

    def update(self, k: int, forecast: ForecastDistribution, batch: Batch) -> None:
        """Keep the first forecasts of batch ``k``, if it has some to be drawn."""
        n_drawn = min(self._of_batch[k], len(forecast.mean))
        self.forecasts += [_on_cpu(self._spec, forecast, batch, i) for i in range(n_drawn)]


class Worst:
    """Keep the forecasts with the largest errors seen so far, on the CPU; those that diverge first come first.

    Args:
        n_forecasts: Number of forecasts to keep.
        spec: Specification of the data set.
    """

    def __init__(self, n_forecasts: int, spec: FieldSpec) -> None:
        self.n_forecasts = n_forecasts
        self._spec = spec
        self._kept: dict[int, tuple[TrajectoryErrors, Forecast]] = {}

    def update(self, forecast: ForecastDistribution, batch: Batch, errors: Sequence[TrajectoryErrors]) -> None:
        """Take forecasts into account.

        Args:
            forecast: The forecasts.
            batch: Their trajectories, as long as the forecasts.
            errors: Their errors.
        """
        kept = [error for error, _ in self._kept.values()]
        chosen = {error.number for error in worst([*kept, *errors], self.n_forecasts)}
        for i, error in enumerate(errors):
            if error.number in chosen:
                self._kept[error.number] = error, _on_cpu(self._spec, forecast, batch, i)
        self._kept = {number: pair for number, pair in self._kept.items() if number in chosen}

    def forecasts(self, numbers: Sequence[int]) -> dict[int, Forecast]:
        """Return those of these trajectories that were forecast here, by their place in ``numbers``."""
        remarks = (f"worst trajectory, number {number}" for number in numbers)
        return {
            rank: replace(self._kept[number][1], remark=remark)
            for rank, (number, remark) in enumerate(zip(numbers, remarks, strict=True))
            if number in self._kept
        }


def worst(errors: Sequence[TrajectoryErrors], n: int) -> list[TrajectoryErrors]:
    """Return the trajectories with the largest errors, the worst first.

    Errors are means over the trajectory; of those that diverged, the one whose forecast stops being finite first, in
    its own length, is the worst.
    """
    return sorted(errors, key=lambda error: (-error.over(None), _finite_share(error), error.number))[:n]


def _finite_share(error: TrajectoryErrors) -> float:
    return float(error.means["model"].isfinite().double().mean())


def _on_cpu(spec: FieldSpec, forecast: ForecastDistribution, batch: Batch, i: int) -> Forecast:
    reference, prediction, scalars, constants = (
        part[i].cpu().clone()
        for part in (batch.target, forecast.mean, batch.scalars, batch.constants)  # no views of batches
    )
    band, spread = (
        None if width is None else width[i].cpu().clone() for width in (forecast.half_width, forecast.spread)
    )
    return Forecast(spec, reference, prediction, scalars, constants, band=band, spread=spread)
