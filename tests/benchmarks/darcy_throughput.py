"""Measure the samples of Darcy flow that are solved per second, against sparse direct solves one by one.

Both get the permeabilities of the FNO paper and give the pressure; drawing the permeability is measured apart, and
assembling the sparse matrix counts for the direct solve. The methods take turns; times are medians.

Run: ``python tests/benchmarks/darcy_throughput.py --resolutions 64 128 256 --threads 1``
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from fno_lightning.pdes.darcy_flow import DarcyFlow
from fno_lightning.pdes.solvers.multigrid import FaceCoefficients, harmonic_faces, solve_diffusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolutions", type=int, nargs="+", default=(64, 128, 256))
    parser.add_argument("--batch", type=int, help="samples of a batch; unless given, 2**18 points on a CPU, 2**22 else")
    parser.add_argument("--direct", type=int, default=2, help="samples of a repetition that are solved directly")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    name = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.threads} thread(s)"
    print(f"Python {platform.python_version()}, torch {torch.__version__}, scipy {scipy.__version__}")
    print(f"{arguments.device}: {name}")
    print("| grid | batch | iterations | draw (1/s) | solve (1/s) | spsolve (1/s) | ratio | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for n in arguments.resolutions:
        measure(arguments, n)


def measure(arguments: argparse.Namespace, n: int) -> None:
    """Print one row of the table."""
    points = 2**18 if arguments.device == "cpu" else 2**22
    n_samples = arguments.batch or max(1, points // n**2)
    centres = [(torch.arange(n, dtype=torch.float64, device=arguments.device) + 0.5) / n] * 2
    family = DarcyFlow((n, n)).permeability
    k = family.sample(range(n_samples), centres)
    faces = harmonic_faces(k)
    source = torch.ones_like(k)
    first = [face.cpu().numpy() for face in faces]
    n_direct = min(arguments.direct, n_samples)

    methods: dict[str, Callable[[], object]] = {
        "draw": lambda: family.sample(range(n_samples), centres),
        "solve": lambda: solve_diffusion(FaceCoefficients(*faces), source, (1 / n, 1 / n)),
        "direct": lambda: [direct(first[0][sample], first[1][sample]) for sample in range(n_direct)],
    }
    solved, expected = methods["solve"](), direct(first[0][0], first[1][0])
    difference = np.abs(solved.p[0].cpu().numpy() - expected).max() / np.abs(expected).max()
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(arguments.repetitions):
        for name, method in methods.items():
            times[name].append(duration(method, arguments.device))
    draw, solve, spsolve_rate = (
        count / statistics.median(times[name])
        for name, count in (("draw", n_samples), ("solve", n_samples), ("direct", n_direct))
    )
    print(
        f"| {n}² | {n_samples} | {int(solved.n_iterations.max())} | {draw:.0f} | {solve:.1f} | {spsolve_rate:.2f} "
        f"| {solve / spsolve_rate:.1f} | {difference:.1e} |",
        flush=True,
    )


def direct(k_x: np.ndarray, k_y: np.ndarray) -> np.ndarray:
    """Assemble and solve one sample with scipy; the unit source is constant, the boundary half a cell away."""
    n_x, n_y = k_y.shape[0], k_x.shape[1]
    t_x, t_y = k_x * (n_x / n_y), k_y * (n_y / n_x)
    for edge in (t_x[0], t_x[-1], t_y[:, 0], t_y[:, -1]):
        edge *= 2
    diagonal = (t_x[1:] + t_x[:-1] + t_y[:, 1:] + t_y[:, :-1]).ravel()
    below = t_x[1:-1].ravel()
    right = np.pad(t_y[:, 1:-1], ((0, 0), (0, 1))).ravel()[:-1]
    matrix = sparse.diags_array([diagonal, -right, -right, -below, -below], offsets=[0, 1, -1, n_y, -n_y], format="csc")
    solution = spsolve(matrix, np.full(n_x * n_y, 1 / (n_x * n_y)), permc_spec="MMD_AT_PLUS_A")  # faster than COLAMD
    return solution.reshape(n_x, n_y)


def duration(method: Callable[[], object], device: str) -> float:
    """Return the seconds of one call."""
    synchronize(device)
    start = time.perf_counter()
    method()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
