"""Measure the speed of the Euler solver in cell updates per second (one cell, one full time step).

Run: ``python tests/benchmarks/euler_throughput.py --resolution 64 192 --batch 5 --threads 1``
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch

from fno_lightning.pdes import RadiativeCooling, TurbulentRadiativeLayer2D
from fno_lightning.pdes.solvers.euler import EulerSolver, to_conserved, to_primitive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, nargs=2, default=(64, 192))
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="time steps of one repetition")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    name = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.threads} thread(s)"
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {arguments.device}: {name}")
    print("| source | cells | first call (s) | step (ms) | million cell updates / s | fastest repetition |")
    print("|---|---|---|---|---|---|")
    cooling_time = torch.full((arguments.batch, 1, 1), 0.1, device=arguments.device)
    for label, source in (("none", None), ("cooling", RadiativeCooling(cooling_time, 0.01, 1.0))):
        measure(arguments, label, source)


@torch.no_grad()
def measure(arguments: argparse.Namespace, label: str, source: RadiativeCooling | None) -> None:
    pde = TurbulentRadiativeLayer2D(tuple(arguments.resolution))
    n_x, n_y = pde.resolution
    spacing = (1 / n_x, 3 / n_y)
    solver = EulerSolver(spacing, ("periodic", "open"), source=source, compile=not arguments.eager)
    state = to_conserved(pde.initial_state(range(arguments.batch), arguments.device), pde.gamma)
    dt = solver.time_step(to_primitive(state, pde.gamma)).min().item()

    start = time.perf_counter()
    state = solver.advance(state, dt)
    first_call = time.perf_counter() - start
    durations = []
    for _ in range(arguments.repetitions):
        synchronize(arguments.device)
        start = time.perf_counter()
        state = solver.advance(state, arguments.steps * dt)
        synchronize(arguments.device)
        durations.append((time.perf_counter() - start) / arguments.steps)
    n_cells = arguments.batch * n_x * n_y
    median, fastest = statistics.median(durations), min(durations)
    print(
        f"| {label} | {arguments.batch} x {n_x} x {n_y} | {first_call:.1f} | {1e3 * median:.3f} "
        f"| {n_cells / median / 1e6:.1f} | {n_cells / fastest / 1e6:.1f} |",
        flush=True,
    )


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
