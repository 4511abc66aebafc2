"""Steps of the Tucker-factorised FNO."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, times_as_fast
from tests.benchmarks.networks import pair
from tests.benchmarks.rows.fno_steps import reference_case
from tests.benchmarks.training_step import TrainingStep, check_steps, learnable_data

ROW = Row("tfno_step", "step of the TFNO (rank 0.1), the better of factorized and reconstructed on both sides", 3)


def measure(settings: Settings) -> Mapping[str, Measurement]:
    arguments, grid, batch = reference_case(settings)
    torch.manual_seed(0)
    x, y = learnable_data(batch, arguments["in_channels"], arguments["out_channels"], grid, settings.device)
    steps = {}
    for implementation in ("factorized", "reconstructed"):
        peer, ours = pair(tfno=True, rank=0.1, implementation=implementation, **arguments)
        steps[f"neuralop, {implementation}"] = TrainingStep(peer.to(settings.device), x, y)
        if implementation == "factorized" or not settings.quick:
            steps[f"ours, {implementation}"] = TrainingStep(
                ours.to(settings.device), x, y, compile=settings.compile_unless_quick
            )
    if not settings.quick:
        recomputed = copy.deepcopy(steps["ours, factorized"].network)
        steps["ours, factorized, blocks recomputed"] = TrainingStep(
            recomputed, x, y, compile=settings.compile_unless_quick, recompute=True
        )
    series = interleave({name: Contestant(step.measure) for name, step in steps.items()}, settings.rounds(5))
    ours_names = [name for name in steps if name.startswith("ours")]
    notes = check_steps(steps) + (["not compiled"] if settings.quick else [])
    return {ROW.name: times_as_fast(series, ours_names, [name for name in steps if name not in ours_names], notes)}


BENCHMARK = Benchmark((ROW,), measure, peers=("neuralop", "tltorch"))
