"""Samples per second of every equation at the size of its configuration or its default, and the figure of its check.

    python -m tests.benchmarks.pdes [--names DarcyFlow Burgers] [--default] [--seconds 20]

Each equation is simulated once to warm up, on few samples, and then on as many as fill the time; where one sample takes
longer than that, the simulation is stopped and the time extrapolated from the fraction that was done. The check is the
largest relative residual of a steady problem, or the largest relative error of the budget of an evolution.
"""

from __future__ import annotations

import argparse
import platform
import time

import torch
from jsonargparse import ArgumentParser

from fno_lightning import pdes
from fno_lightning.pdes import PDE, PseudoSpectralPDE, SteadyPDE


class EnoughError(Exception):
    """End of the time for a simulation."""


def simulate(pde: PDE, n_samples: int, seconds: float) -> tuple[float, float]:
    """Return the time, and the fraction of the simulation that it took."""
    begin = last = time.perf_counter()
    done = 0.0

    def progress(fraction: float) -> None:
        nonlocal last, done
        last, done = time.perf_counter(), fraction
        if last - begin > seconds and fraction < 1:
            raise EnoughError

    try:
        pde.simulate(pde.parameter_sets[0], list(range(n_samples)), progress=progress)
    except EnoughError:
        return last - begin, done
    return time.perf_counter() - begin, 1.0


def check(pde: PDE, n_samples: int) -> str:
    """Return the figure of the check, recorded while the equation tests it."""
    figures: list[float] = []
    seeds = list(range(n_samples))
    if isinstance(pde, SteadyPDE):
        return f"residual {pde.solve(seeds, 'cpu').residual.max().item():.1e}"
    if isinstance(pde, PseudoSpectralPDE):
        require = type(pde)._require_balanced

        def record(self: PseudoSpectralPDE, imbalance: torch.Tensor, *rest: object) -> None:
            figures.append(imbalance.max().item())
            require(self, imbalance, *rest)

        type(pde)._require_balanced = record
        try:
            pde.simulate(pde.parameter_sets[0], seeds)
        finally:
            type(pde)._require_balanced = require
        return f"{pde.budget_name} budget {figures[0]:.1e}"
    return ""


def row(pde: PDE, seconds: float) -> str:
    """Return a line of the table."""
    elapsed, done = simulate(pde, 1, seconds)
    n_samples = max(1, min(256, int(seconds * done / max(elapsed, 1e-3))))
    if done == 1 and n_samples > 1:
        elapsed, done = simulate(pde, n_samples, 4 * seconds)
    rate = n_samples * done / elapsed
    figure = check(pde, min(n_samples, 8)) if done == 1 else "not run to the end"
    schema = pde.schema
    grid = "x".join(str(len(points)) for points in schema.coordinates.values())
    return f"| {type(pde).__name__} | {grid} | {len(schema.time)} | {rate:.3g} | {figure} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", help="names of equations; all unless given")
    parser.add_argument("--default", action="store_true", help="default sizes instead of those of configs/")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| equation | grid | frames | samples/s | check |\n|---|---|---:|---:|---|")
    for pde in default_equations() if options.default else configured_equations():
        if not options.names or type(pde).__name__ in options.names:
            print(row(pde, options.seconds), flush=True)


def default_equations() -> list[PDE]:
    """Return every equation that can be made without arguments."""
    classes = [getattr(pdes, name) for name in pdes.__all__]
    concrete = (c for c in classes if isinstance(c, type) and issubclass(c, PDE) and not c.__abstractmethods__)
    return [c() for c in concrete if getattr(c, "dataset_name", None)]


def configured_equations() -> list[PDE]:
    """Return the equation of every configuration."""
    from pathlib import Path

    import yaml

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--pde", type=PDE)
    found = []
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        settings = yaml.safe_load(path.read_text()).get("data", {}).get("init_args", {}).get("pde")
        if settings is not None:
            found.append(parser.instantiate_classes(parser.parse_object({"pde": settings})).pde)
    return found


if __name__ == "__main__":
    main()
