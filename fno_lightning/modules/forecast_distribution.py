"""A forecast with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ForecastDistribution(NamedTuple):
    """Forecast of a batch of trajectories, and what is known of its error, in physical units.

    Attributes:
        mean: The forecast, of an ensemble its mean, ``(batch, time, field, *grid)``.
        ensemble: Forecast of each member, ``(ensemble, batch, time, field, *grid)``; ``None``: there is one.
        half_width: Half of the width of the calibrated band around the mean, of its shape; infinite where nothing is
            known, such as beyond the lead times of the calibration; ``None``: the module is not calibrated.
    """

    mean: Tensor
    ensemble: Tensor | None = None
    half_width: Tensor | None = None

    @property
    def spread(self) -> Tensor | None:
        """Standard deviation over the ensemble, unbiased, of the shape of the mean."""
        return None if self.ensemble is None else self.ensemble.std(dim=0)

    @property
    def lower(self) -> Tensor | None:
        """Lower edge of the band."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def upper(self) -> Tensor | None:
        """Upper edge of the band."""
        return None if self.half_width is None else self.mean + self.half_width

    def first(self, n_trajectories: int) -> ForecastDistribution:
        """Return the forecasts of the first trajectories of the batch."""
        return ForecastDistribution(
            self.mean[:n_trajectories],
            None if self.ensemble is None else self.ensemble[:, :n_trajectories],
            None if self.half_width is None else self.half_width[:n_trajectories],
        )
