"""GPU: small one-dimensional trainings, whose kernels take longer to launch than to run."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from fno_lightning.data import WellDataModule
from tests.benchmarks.checks import parameter_count, require_equal_counts, require_falling
from tests.benchmarks.data_sets import write_smooth_pairs
from tests.benchmarks.harness import (
    Benchmark,
    Contestant,
    Measurement,
    Row,
    Series,
    Settings,
    interleave,
    paired_ratios,
    with_tf32,
)
from tests.benchmarks.lightning_training import WARM_UP_EXECUTIONS, make_module
from tests.benchmarks.rows.training_1d import JAXTraining, LightningTraining, normalised_samples

SIZE = "1-D, 256 points, width 64, TF32, the worst of batch 1, 4, 16"
EAGER = Row("small_1d_eager", f"training, {SIZE}: captured against Lightning's eager loop", 5)
JAX = Row("small_1d_jax", f"training, {SIZE}: captured against JAX lax.scan on the same device", 1)
STEPS_PER_EXECUTION = 64
CAPTURED, ORDINARY, SCAN = "ours, captured", "ours, eager in Lightning", "JAX, lax.scan"


def measure(settings: Settings) -> Mapping[str, Measurement]:
    batches = (2,) if settings.tiny else (1, 4, 16)
    with tempfile.TemporaryDirectory() as folder:
        write_smooth_pairs(Path(folder) / "pairs", settings.size(256, 32), settings.size(2048, 16))
        cases = {batch: case(settings, folder, batch) for batch in batches}
    results = {EAGER.name: worst(cases, ORDINARY)}
    return results | ({JAX.name: worst(cases, SCAN)} if has_jax_for(settings) else {})


def case(settings: Settings, folder: str, batch_size: int) -> Mapping[str, Series]:
    """Return the milliseconds of a step of each training."""
    torch.compiler.reset()
    data = WellDataModule("pairs", folder, n_steps_input=1, batch_size=batch_size, cache="device")
    network = {"n_modes": [settings.size(16, 8)], "hidden_channels": settings.size(64, 8), "n_layers": 4}
    n_steps = settings.size(STEPS_PER_EXECUTION, 2)
    n_epochs = settings.size(max(1, batch_size // 2), 2)
    captured = make_module(data, settings, network).to(settings.device)
    eager = make_module(data, Settings(tiny=True, device=settings.device), network).to(settings.device)
    trainings: dict[str, LightningTraining | JAXTraining] = {
        CAPTURED: LightningTraining(
            captured, data, settings, n_epochs, steps_per_execution=n_steps, skip=WARM_UP_EXECUTIONS * n_steps
        ),
        ORDINARY: LightningTraining(eager, data, settings, n_epochs),
    }
    if has_jax_for(settings):
        x, y = normalised_samples(data, captured)
        trainings[SCAN] = JAXTraining(captured, x, y, batch_size, n_epochs)
    contestants = {name: Contestant(partial(with_tf32, training.measure)) for name, training in trainings.items()}
    series = interleave(contestants, settings.rounds(3), unit="ms/step", scale=1e3)
    require_falling({name: training.losses for name, training in trainings.items()})
    counts = {"captured": parameter_count(captured.network), "eager": parameter_count(eager.network)}
    require_equal_counts(counts | ({"JAX": trainings[SCAN].n_parameters} if SCAN in trainings else {}))
    return series


def has_jax_for(settings: Settings) -> bool:
    """Return whether JAX is installed and sees the kind of device that is measured."""
    if importlib.util.find_spec("jax") is None or importlib.util.find_spec("optax") is None:
        return False
    import jax

    return settings.device.type == "cpu" or jax.default_backend() == "gpu"


def worst(cases: Mapping[int, Mapping[str, Series]], peer: str) -> Measurement:
    """Return the measurement of the batch size with the smallest ratio, with the others in the notes."""
    measurements = {
        batch: Measurement(paired_ratios(series[peer], series[CAPTURED]), series[CAPTURED], series[peer])
        for batch, series in cases.items()
    }
    least = min(measurements.values(), key=lambda one: one.ratio)
    notes = [
        f"batch {batch}: {one.ours.median:.3g} and {one.peer.median:.3g} ms a step, ratio {one.ratio:.3g}"
        for batch, one in measurements.items()
        if one.peer is not None
    ]
    return Measurement(least.ratios, least.ours, least.peer, notes=notes)


BENCHMARK = Benchmark((EAGER, JAX), measure)
