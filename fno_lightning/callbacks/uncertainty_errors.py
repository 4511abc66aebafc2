"""Errors of the uncertainty of forecasts."""

from __future__ import annotations

import torch
from torch import Tensor

from fno_lightning.data import Batch
from fno_lightning.metrics import CRPS, Coverage, EnsembleMetric, Spread, SpreadSkill
from fno_lightning.modules import ForecastDistribution, ForecastModule


class UncertaintyErrors:
    """CRPS, spread, and spread over skill of ensembles, and coverage of calibrated bands; nothing where there are none.

    Args:
        module: Author of the forecasts.
    """

    def __init__(self, module: ForecastModule) -> None:
        self._module = module
        kinds: dict[str, type[EnsembleMetric]] = {}
        if module.n_forecasts > 1:
            kinds = {"crps": CRPS, "spread": Spread, "spread_skill": SpreadSkill}
        if module.bands is not None:
            kinds["coverage"] = Coverage
        self._errors = {name: kind(module.spec.n_dims).to(module.device) for name, kind in kinds.items()}

    def update(self, forecast: ForecastDistribution, batch: Batch) -> None:
        """Add forecasts of a batch of trajectories."""
        normalizer, member = self._module.normalizer, batch.member
        unit = normalizer.spread(member)
        target = normalizer.in_spreads(batch.target, member)
        given: dict[str, Tensor] = {}
        if forecast.ensemble is not None:
            members = forecast.ensemble.unbind()
            given = dict.fromkeys(self._errors, torch.stack([normalizer.in_spreads(one, member) for one in members]))
        if forecast.lower is not None and forecast.upper is not None:
            bounds = (normalizer.in_spreads(bound, member) for bound in (forecast.lower, forecast.upper))
            given["coverage"] = torch.stack(tuple(bounds))
        for name, error in self._errors.items():
            error.update(given[name], target, unit)

    def compute(self) -> dict[str, Tensor]:
        """Return each error by log name, the mean over the samples of all processes, ``(time, field)``."""
        return {name: error.compute() for name, error in self._errors.items()}
