"""Largest memory of a training step.

On a CPU the bytes of PyTorch's allocator are counted: the profiler reports every allocation and every release, so that
their running sum is exact, whereas the resident size of the process also holds what the allocator keeps for later and
what compilation took. Scratch space that libraries take for themselves (FFT plans, matrix products) is not in it, on
either side. On a GPU, PyTorch counts by itself.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, paired_ratios
from tests.benchmarks.networks import copies, pair
from tests.benchmarks.rows.fno_steps import reference_case
from tests.benchmarks.training_step import TrainingStep, check_steps, learnable_data

ROW = Row("memory", "peak memory of a float32 training step with Adam, 128 x 384 points, batch 2", 0.5, "at most")


def measure(settings: Settings) -> Mapping[str, Measurement]:
    arguments, grid, batch = reference_case(settings)
    torch.manual_seed(0)
    x, y = learnable_data(batch, arguments["in_channels"], arguments["out_channels"], grid, settings.device)
    peer, ours = (network.to(settings.device) for network in pair(**arguments))
    eager, small, compiled, recomputed, bf16 = copies(ours, 5)
    steps = {
        "ours, blocks recomputed": TrainingStep(small, x, y, recompute=True),
        "neuralop": TrainingStep(peer, x, y),
        "ours": TrainingStep(eager, x, y),
    }
    if not settings.quick:
        options = {"compile": settings.compile}
        steps |= {
            "ours, compiled, blocks recomputed": TrainingStep(recomputed, x, y, recompute=True, **options),
            "ours, compiled": TrainingStep(compiled, x, y, **options),
            "ours, compiled, bf16": TrainingStep(bf16, x, y, bf16=True, **options),
        }
    notes = check_steps(steps)
    contestants = {name: Contestant(lambda step=step: step_peak(step)) for name, step in steps.items()}
    series = interleave(contestants, settings.rounds(3), unit="MB", scale=1e-6)
    mine, theirs, *others = series.values()
    notes.append("weights, gradients, Adam's moments, batch and everything allocated in the step")
    return {ROW.name: Measurement(paired_ratios(mine, theirs), mine, theirs, others, notes)}


def step_peak(step: TrainingStep) -> float:
    """Return the bytes at the peak of a full step, including those allocated before it."""
    states = [value for state in step.optimizer.state.values() for value in state.values()]
    held = [*step.network.parameters(), *step.network.buffers(), step.x, step.y, *states]
    before = sum(tensor.untyped_storage().nbytes() for tensor in held if tensor.device == step.x.device)
    return before + peak_bytes(step.full_step, step.x.device)


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Return the largest number of bytes that are allocated at once during a call, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [(event["ts"], event["args"]) for event in events if event.get("name") == "[memory]"]
    changes.sort(key=lambda change: change[0])
    on_cpu = [arguments["Bytes"] for _, arguments in changes if arguments["Device Type"] == 0]
    return max(accumulate(on_cpu, initial=0))


BENCHMARK = Benchmark((ROW,), measure, peers=("neuralop",))
