"""GPU: the Euler solver with radiative cooling."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fno_lightning.pdes import RadiativeCooling, TurbulentRadiativeLayer2D
from fno_lightning.pdes.solvers.euler import EulerSolver, to_conserved
from fno_lightning.pdes.solvers.euler.solver import compiled
from tests.benchmarks.checks import DifferentResultError
from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, seconds

ROW = Row("euler_gpu", "Euler solver with cooling, 128 x 384 cells, 64 runs at once, cell updates per second", 2e9)


@torch.no_grad()
def measure(settings: Settings) -> Mapping[str, Measurement]:
    batch, n_steps = settings.size(64, 2), settings.size(200, 2)
    pde = TurbulentRadiativeLayer2D((settings.size(128, 16), settings.size(384, 48)))
    n_x, n_y = pde.resolution
    device = str(settings.device)
    cooling = RadiativeCooling(torch.full((batch, 1, 1), 0.1, device=device), 0.01, 1.0)
    solver = EulerSolver((1 / n_x, 3 / n_y), ("periodic", "open"), source=cooling, compile=settings.compile)
    state = to_conserved(pde.initial_state(range(batch), device), pde.gamma)
    step = compiled(solver.step, torch.get_num_threads()) if settings.compile else solver.step
    without_end = torch.full((batch, 1, 1), 1e3, device=device)

    def advance() -> None:
        nonlocal state
        for _ in range(n_steps):
            state, _ = step(state, without_end)

    def rate() -> float:
        return batch * n_x * n_y * n_steps / seconds(advance, settings.device)

    series = interleave({"ours": Contestant(rate)}, settings.rounds(5), unit="cell updates/s")["ours"]
    if not (state.density.isfinite().all() and state.density.amin() > 0):
        raise DifferentResultError("a density is not positive and finite")
    return {ROW.name: Measurement(series.values, series, notes=[f"{n_steps} steps a round"])}


BENCHMARK = Benchmark((ROW,), measure)
