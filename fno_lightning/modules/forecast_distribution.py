"""A forecast with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ForecastDistribution(NamedTuple):
    """Forecast of a batch of trajectories, and what is known of its error, in physical units.

    Attributes:
        mean: The forecast, of an ensemble its mean, ``(batch, time, field, *grid)``.
        ensemble: Forecast of each member, ``(ensemble, batch, time, field, *grid)``; ``None``: there is one.
        half_width: Half of the width of the calibrated band around the mean, of its shape; infinite where nothing is
            known, such as beyond the lead times of the calibration; ``None``: the module is not calibrated.
        scale: Scale of the error that a network predicts, of the shape of the mean; ``None``: it predicts none.
    """

    mean: Tensor
    ensemble: Tensor | None = None
    half_width: Tensor | None = None
    scale: Tensor | None = None

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
        ensemble = None if self.ensemble is None else self.ensemble[:, :n_trajectories]
        rest = (None if part is None else part[:n_trajectories] for part in (self.mean, self.half_width, self.scale))
        mean, half_width, scale = rest
        assert mean is not None
        return ForecastDistribution(mean, ensemble, half_width, scale)

    def to(self, dtype: torch.dtype) -> ForecastDistribution:
        """Return the forecasts in another precision."""
        mean, *others = (None if part is None else part.to(dtype) for part in self)
        assert mean is not None
        return ForecastDistribution(mean, *others)
