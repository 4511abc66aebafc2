"""Steps of the three-dimensional FNO."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, times_as_fast
from tests.benchmarks.networks import pair
from tests.benchmarks.training_step import TrainingStep, check_steps, learnable_data

ROWS = {n: Row(f"fno_3d_{n}", f"step of the 3-D FNO, {n}³ points, batch 1, width 32, 12³ modes", 2) for n in (32, 64)}


def measure(full_size: int, settings: Settings) -> Mapping[str, Measurement]:
    n = settings.size(full_size, full_size // 4)
    torch.manual_seed(0)
    x, y = learnable_data(1, 4, 1, (n, n, n), settings.device)
    modes = settings.size(12, 4)
    peer, ours = pair(
        n_modes=(modes,) * 3, in_channels=4, out_channels=1, hidden_channels=settings.size(32, 8), n_layers=4
    )
    ours_name = "ours, eager" if settings.quick else "ours, compiled"
    steps = {
        "neuralop": TrainingStep(peer.to(settings.device), x, y),
        ours_name: TrainingStep(ours.to(settings.device), x, y, compile=settings.compile_unless_quick),
    }
    series = interleave({name: Contestant(one.measure) for name, one in steps.items()}, settings.rounds(5))
    measurement = times_as_fast(series, [ours_name], ["neuralop"], check_steps(steps))
    return {ROWS[full_size].name: measurement}


BENCHMARKS = tuple(Benchmark((row,), partial(measure, n), peers=("neuralop",)) for n, row in ROWS.items())
