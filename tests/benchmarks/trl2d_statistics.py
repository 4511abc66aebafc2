"""Compare simulated turbulent radiative layers with the published statistics of The Well's data set.

Run: ``python tests/benchmarks/trl2d_statistics.py --resolution 64 192``
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from fno_lightning.pdes import TurbulentRadiativeLayer2D

FIELDS = ("density", "pressure", "velocity_x", "velocity_y")

THE_WELL = {
    "mean": (34.847, 0.94475, 6.17e-3, -2.465e-2),
    "std": (44.284, 0.06097, 4.176e-2, 4.010e-2),
    "std_delta": (12.029, 3.538e-2, 1.692e-2, 1.990e-2),
}
"""``stats.yaml`` of turbulent_radiative_layer_2D: the train split of 128 x 384 cells, 8 seeds for each cooling time."""


class Moments:
    """Mean and standard deviation of channels over all values so far, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(len(FIELDS), dtype=torch.float64)
        self.squares = torch.zeros(len(FIELDS), dtype=torch.float64)

    def update(self, values: Tensor) -> None:
        """Add values of shape ``(batch, time, field, x, y)``."""
        for frame in values.unbind(1):
            frame = frame.double()
            self.count += frame[:, 0].numel()
            self.total += frame.sum(dim=(0, 2, 3))
            self.squares += frame.square().sum(dim=(0, 2, 3))

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def std(self) -> Tensor:
        return (self.squares / self.count - self.mean**2).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, nargs=2, default=(64, 192))
    parser.add_argument("--seeds", type=int, default=1, help="trajectories of each cooling time")
    parser.add_argument("--n-frames", type=int, default=101)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    pde = TurbulentRadiativeLayer2D(tuple(arguments.resolution), n_frames=arguments.n_frames)
    values, deltas = Moments(), Moments()
    start = time.perf_counter()
    for parameters in pde.parameter_sets:
        result = pde.simulate(parameters, range(arguments.seeds), device=arguments.device)
        velocity = result.vector_fields["velocity"].unbind(-1)
        frames = torch.stack([*result.scalar_fields.values(), *velocity], dim=2)
        values.update(frames)
        deltas.update(frames[:, 1:] - frames[:, :-1])
        print(f"t_cool {parameters['tcool']:.2f} done after {time.perf_counter() - start:.0f} s", flush=True)

    n_x, n_y = pde.resolution
    print(f"\n{n_x} x {n_y} cells, {arguments.n_frames} frames, {arguments.seeds} seed(s) for each cooling time\n")
    print("| field | statistic | simulated | The Well | ratio |\n|---|---|---|---|---|")
    simulated = {"mean": values.mean, "std": values.std, "std_delta": deltas.std}
    for index, field in enumerate(FIELDS):
        for statistic, published in THE_WELL.items():
            ours, theirs = simulated[statistic][index].item(), published[index]
            print(f"| {field} | {statistic} | {ours:.4g} | {theirs:.4g} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
