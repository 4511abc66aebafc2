"""Time of a training step by operator: the case of turbulent_radiative_layer_2D, ours beside neuralop's.

    python -m tests.benchmarks.profile_step [--bf16] [--eager] [--steps 5] [--out docs]

The operators that torch.profiler records are put into groups by their names. Times are those of the operators
themselves, without what they call, on the GPU if there is one.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would write two lines for every use

import torch
from torch._inductor import config as inductor
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.environment import environment, summary
from tests.benchmarks.harness import Settings
from tests.benchmarks.networks import pair
from tests.benchmarks.report import put_between
from tests.benchmarks.rows.fno_steps import reference_case
from tests.benchmarks.training_step import TrainingStep, learnable_data

GROUPS = {
    "matrix products of the compiler": ("triton_tem", "_gemm", "cutlass", "nvjet"),
    "other fused kernels of the compiler": ("fused", "triton", "compiledfunction", "torch-compiled"),
    "matrix products of ATen": ("mm", "linear", "matmul", "conv", "einsum"),
    "FFT": ("fft",),
    "optimizer": ("adam", "foreach"),
    "GELU": ("gelu",),
    "other pointwise operators": ("add", "mul", "sub", "div", "sum", "mean", "mse", "elementwise", "reduce", "tanh"),
    "copies": ("copy", "clone", "contiguous", "to_", "fill", "zero", "empty", "memcpy", "memset", "cat", "index"),
}


def group_of(name: str) -> str:
    """Return the first group with a word of the name."""
    lower = name.lower()
    if "fused" in lower and "gelu" in lower and "triton_tem" not in lower:
        return "fused kernels of the compiler with GELU"
    return next((group for group, words in GROUPS.items() if any(word in lower for word in words)), "other")


def times_by_group(step: TrainingStep, n_steps: int) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """Return the milliseconds of a step by group, and of the ten most expensive operators."""
    for _ in range(2):
        step.full_step()
    is_cuda = step.x.is_cuda
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if is_cuda else [])
    with profile(activities=activities) as profiler:
        for _ in range(n_steps):
            step.full_step()
    groups: dict[str, float] = defaultdict(float)
    operators = []
    for event in profiler.key_averages():
        spent = (event.self_device_time_total if is_cuda else event.self_cpu_time_total) / 1e3 / n_steps
        groups[group_of(event.key)] += spent
        operators.append((event.key, spent))
    return groups, sorted(operators, key=lambda one: -one[1])[:10]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bf16", action="store_true", help="under bfloat16 autocast")
    parser.add_argument("--eager", action="store_true", help="without compiling ours")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="smallest sizes")
    parser.add_argument("--out", type=Path, help="folder of the benchmarks.md that the tables are put into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    inductor.cpp.enable_kernel_profile = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = Settings(tiny=options.tiny, device=device)
    arguments, grid, batch = reference_case(settings)
    x, y = learnable_data(batch, arguments["in_channels"], arguments["out_channels"], grid, device)
    peer, ours = (network.to(device) for network in pair(**arguments))
    compiled = settings.compile and not options.eager
    tables = []
    for name, network, is_compiled in (("ours", ours, compiled), ("neuralop", peer, False)):
        step = TrainingStep(network, x, y, bf16=options.bf16, compile=is_compiled)
        label = f"{name}{', compiled' if is_compiled else ''}{', bf16' if options.bf16 else ''}"
        tables.append(table(label, *times_by_group(step, options.steps)))
        print(tables[-1])
    if options.out:
        tables.append(f"Measured on {summary(environment(device))}.")
        put_between(options.out / "benchmarks.md", f"{'gpu' if x.is_cuda else 'cpu'} profile", "\n\n".join(tables))


def table(label: str, groups: dict[str, float], operators: list[tuple[str, float]]) -> str:
    """Return the Markdown table of the groups, and the operators in a line below it."""
    total = sum(groups.values())
    lines = [f"| {label}: {total:.0f} ms a step | ms | share |", "|---|---|---|"]
    lines += [
        f"| {group} | {spent:.1f} | {spent / total:.0%} |"
        for group, spent in sorted(groups.items(), key=lambda one: -one[1])
    ]
    largest = ", ".join(f"`{operator[:60]}` {spent:.1f}" for operator, spent in operators)
    return "\n".join([*lines, "", f"The most expensive operators, in ms: {largest}."])


if __name__ == "__main__":
    main()
