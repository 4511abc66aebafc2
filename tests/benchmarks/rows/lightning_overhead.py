"""Overhead of Lightning's loop on a step of the smallest case."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fno_lightning.data import WellDataModule
from fno_lightning.modules import FNOModule
from tests.benchmarks.checks import require_falling
from tests.benchmarks.data_sets import write_smooth_pairs
from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, paired_ratios
from tests.benchmarks.lightning_training import fit, loss_of_samples, make_module

CASE = "1-D, 64 points, width 16, batch 1"
EXECUTIONS = Row("lightning_overhead", f"what fit adds to a bare loop, 16 steps per execution, {CASE}", 0.1, "at most")
ORDINARY = Row("lightning_overhead_ordinary", f"what fit's ordinary loop adds to a bare loop, {CASE}", 0.1, "at most")
STEPS_PER_EXECUTION = 16


def measure(settings: Settings) -> Mapping[str, Measurement]:
    network = {"n_modes": [8], "hidden_channels": 16, "n_layers": 4}
    with tempfile.TemporaryDirectory() as folder:
        write_smooth_pairs(Path(folder) / "pairs", 64, settings.size(512, 16))
        data = WellDataModule("pairs", folder, n_steps_input=1, batch_size=1)
        data.setup("fit")
        module = make_module(data, settings, network)
        losses = [loss_of_samples(module, data, 16)]
        contestants = {
            "bare loop": Contestant(partial(bare_seconds, module, data)),
            "executions": Contestant(partial(fit_seconds, module, data, settings, STEPS_PER_EXECUTION)),
            "ordinary": Contestant(partial(fit_seconds, module, data, settings)),
        }
        series = interleave(contestants, settings.rounds(7), unit="ms/step", scale=1e3)
        losses.append(loss_of_samples(module, data, 16))
    require_falling({"ours": losses})
    notes = ["one epoch a round, each continues with the weights of the one before"]
    return {
        row.name: Measurement(
            [ratio - 1 for ratio in paired_ratios(series[name], series["bare loop"])],
            series[name],
            series["bare loop"],
            notes=notes,
        )
        for row, name in ((EXECUTIONS, "executions"), (ORDINARY, "ordinary"))
    }


def bare_seconds(module: FNOModule, data: WellDataModule) -> float:
    """Train one epoch in a plain loop; return the seconds of a step."""
    module.train()
    optimizer = module.configure_optimizers()
    loader = data.train_dataloader()
    begin = time.perf_counter()
    for batch in loader:
        loss, _ = module.step(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - begin) / len(loader)


def fit_seconds(
    module: FNOModule, data: WellDataModule, settings: Settings, steps_per_execution: int | None = None
) -> float:
    """Train one epoch with Lightning; return the seconds of a step."""
    stopwatch = fit(module, data, settings, steps_per_execution=steps_per_execution)
    return stopwatch.seconds_per_step


BENCHMARK = Benchmark((EXECUTIONS, ORDINARY), measure)
