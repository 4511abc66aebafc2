"""GPU: one epoch of the full-size turbulent_radiative_layer_2D."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from fno_lightning.data import WellDataModule
from tests.benchmarks.checks import DifferentResultError, require_falling
from tests.benchmarks.data_sets import write_radiative_layers
from tests.benchmarks.harness import Benchmark, Measurement, Row, Series, Settings
from tests.benchmarks.lightning_training import fit, loss_of_samples, make_module

ROW = Row("epoch_trl2d", "one epoch of the full train split, 6,984 windows, batch 4, device cache, bf16", 6, "at most")
STEPS_PER_EXECUTION = 18  # divides the 1,746 batches of an epoch


def measure(settings: Settings) -> Mapping[str, Measurement]:
    grid = settings.size(128, 8), settings.size(384, 12)
    n_frames, n_files, n_epochs = settings.size(101, 9), settings.size(9, 2), settings.n_rounds(3) + 1
    n = settings.size(16, 4)
    network = {"n_modes": [n, n], "hidden_channels": settings.size(64, 8), "n_layers": 4}
    with tempfile.TemporaryDirectory() as folder:
        write_radiative_layers(Path(folder) / "random", grid, settings.size(8, 2), n_frames=n_frames, n_files=n_files)
        data = WellDataModule("random", folder, n_steps_input=4, batch_size=4, cache="device")
        n_windows = len(data.dataset("train"))
        if not settings.tiny and n_windows != 6984:
            raise DifferentResultError(f"the train split has {n_windows} windows instead of 6984")
        module = make_module(data, settings, network).to(settings.device)
        losses = [loss_of_samples(module, data, 4)]
        n_steps = settings.size(STEPS_PER_EXECUTION, 2)
        stopwatch = fit(
            module, data, settings, steps_per_execution=n_steps, precision="bf16-mixed", max_epochs=n_epochs
        )
        losses.append(loss_of_samples(module, data, 4))
    require_falling({"ours": losses})
    epochs = Series("ours, Lightning, bf16, captured", stopwatch.epochs[1:])
    notes = [
        f"{n_windows} windows of random numbers, width {network['hidden_channels']}, {n} modes, 4 layers",
        f"the first epoch, with compilation and capture, took {stopwatch.epochs[0]:.1f} s",
    ]
    return {ROW.name: Measurement(epochs.values, epochs, notes=notes)}


BENCHMARK = Benchmark((ROW,), measure)
