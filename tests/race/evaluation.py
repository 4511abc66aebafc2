"""Errors and spectra of forecasts on the test split, trajectory by trajectory."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fno_lightning.data import Batch, FieldDataModule
from fno_lightning.metrics.pointwise import vrmse
from fno_lightning.modules import ForecastModule
from fno_lightning.viz.spectra import radial_spectrum

SPECTRUM_STEPS = (12, 30)
"""Steps after which spectra are compared, from 1."""

Forecast: TypeAlias = Callable[[Batch, int], Tensor]
"""Maps a batch and a number of steps to frames in physical units, ``(batch, time, field, *grid)``."""


def persistence(batch: Batch, n_steps: int) -> Tensor:
    """Repeat the last frame of the history."""
    return batch.history[:, -1:].expand(-1, n_steps, *batch.history.shape[2:])


@torch.no_grad()
def evaluate(forecast: Forecast, data: FieldDataModule, scales: ForecastModule, device: torch.device) -> dict[str, Any]:
    """Return errors and spectra as plain values.

    Errors are :func:`~fno_lightning.metrics.pointwise.vrmse` of fields in multiples of their spread over the train
    split, as the package reports them; infinite where a forecast is not finite.

    Args:
        forecast: Author of the forecasts.
        data: The data; a target of its samples has one frame.
        scales: A module, for the spread of the fields.
        device: Device of the batches.
    """
    data.prepare_data()
    data.setup("test")
    scales.fit_normalization(data.statistics)
    normalizer, spec = scales.normalizer.to(device), data.spec

    def errors(batch: Batch) -> tuple[Tensor, Tensor]:
        prediction = forecast(batch, batch.target.shape[1]).to(batch.target.dtype)
        both = (normalizer.in_spreads(frames, batch.member) for frames in (prediction, batch.target))
        return vrmse(*both, spec.n_dims).nan_to_num(nan=math.inf, posinf=math.inf), prediction

    one_step: dict[tuple[float, ...], list[Tensor]] = defaultdict(list)
    for batch in data.test_dataloader():
        by_sample, _ = errors(_moved(batch, device))
        for scalars, error in zip(batch.scalars.tolist(), by_sample[:, 0].cpu(), strict=True):
            one_step[tuple(scalars)].append(error)
    trajectories, powers = [], []
    wavenumber = torch.zeros(0)
    for batch in data.rollout_dataloader("test"):
        by_sample, prediction = errors(_moved(batch, device))
        for scalars, error, own, target in zip(batch.scalars, by_sample, prediction.cpu(), batch.target, strict=True):
            steps = [step - 1 for step in SPECTRUM_STEPS if step <= len(error)]
            wavenumber, power = radial_spectrum(target[steps], spec)
            _, predicted = radial_spectrum(own[steps], spec)
            powers.append(torch.stack([power, predicted]))
            trajectories.append({"scalars": scalars.tolist(), "errors": error.tolist()})
    power, predicted_power = torch.stack(powers).mean(dim=0).tolist()
    return {
        "fields": list(spec.fields),
        "varying": normalizer.varying_fields.tolist(),
        "scalars": list(spec.scalars),
        "wavenumber": wavenumber.tolist(),
        "spectrum_steps": list(SPECTRUM_STEPS),
        "power": power,
        "predicted_power": predicted_power,
        "one_step": [
            {"scalars": list(scalars), "n": len(samples), "errors": torch.stack(samples).mean(dim=0).tolist()}
            for scalars, samples in sorted(one_step.items())
        ],
        "trajectories": trajectories,
    }


def _moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(*(part.to(device) for part in batch))
