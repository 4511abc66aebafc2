"""Cost of an ensemble beside one network, and what its bands are worth.

    python -m tests.benchmarks.ensemble cost [--members 8] [--rounds 7]
    python -m tests.benchmarks.ensemble errors [--members 8] [--epochs 12]

``cost`` takes turns, round after round, at a training step (forward, loss, backward, fused AdamW) of one module, of an
ensemble in one module, and of as many modules one after the other, each on the same batch; it prints the medians of the
ratios within a round, and the largest number of bytes that PyTorch's allocator holds in a step.

``errors`` trains one network and an ensemble on Burgers' equation (128 points, viscosity 0.01, 32 trajectories) for
equally many steps, calibrates both on trajectories of their own, and prints the errors of the forecasts of further
trajectories, and the share of their points within the bands.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable

import lightning as L
import torch

from fno_lightning.callbacks import ConformalCalibration, RolloutEvaluation
from fno_lightning.data import Batch, FieldSpec, GeneratedDataModule
from fno_lightning.metrics import MAE, VRMSE
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Burgers
from tests.benchmarks.harness import Contestant, interleave, paired_ratios
from tests.benchmarks.rows.memory import peak_bytes

SIZES = {
    "1-D, 64 points, 16 channels, batch 4": ((64,), (16,), 16, 4),
    "1-D, 128 points, 32 channels, batch 4": ((128,), (32,), 32, 4),
    "1-D, 256 points, 32 channels, batch 16 (burgers_series)": ((256,), (32,), 32, 16),
    "2-D, 32 x 32 points, 32 channels, batch 4": ((32, 32), (12, 12), 32, 4),
}


def stepper(grid: tuple[int, ...], modes: tuple[int, ...], channels: int, batch: int, members: int | None):
    """Return a module and a function that takes a training step of it."""
    spec = FieldSpec("noise", ("u",), grid, time_step=0.1)
    module = FNOModule(spec, modes, channels, n_steps_input=1, ensemble_size=members)
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=1e-3, fused=True)
    sample = torch.randn(batch, 2, 1, *grid, generator=torch.Generator().manual_seed(0))
    data = Batch(sample[:, :1], torch.empty(batch, 0, *grid), torch.empty(batch, 0), sample[:, 1:])
    module.train()

    def step() -> None:
        optimizer.zero_grad()
        module.step(data)[0].backward()
        optimizer.step()

    return module, step


def timed(work: Callable[[], None]) -> float:
    """Return the time that work takes, in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def cost(members: int, rounds: int) -> None:
    """Print times and memory of steps."""
    print(f"| {members} members | time over one | members one by one over one | memory over one | ms of one |")
    print("|---|---:|---:|---:|---:|")
    for name, size in SIZES.items():
        one, ensemble = (stepper(*size, count)[1] for count in (None, members))
        several = [stepper(*size, None)[1] for _ in range(members)]

        def all_of_them(several=several) -> None:
            for step in several:
                step()

        works = {"one": one, "ensemble": ensemble, "one by one": all_of_them}
        contestants = {label: Contestant(lambda work=work: timed(work), warm_up=2) for label, work in works.items()}
        series = interleave(contestants, range(rounds))
        ratios = [
            sorted(paired_ratios(series[label], series["one"]))[rounds // 2] for label in ("ensemble", "one by one")
        ]
        memory = [peak_bytes(work, torch.device("cpu")) for work in (ensemble, one)]
        cells = [f"{ratios[0]:.2f}", f"{ratios[1]:.2f}", f"{memory[0] / memory[1]:.1f}"]
        print(f"| {name} | {' | '.join(cells)} | {1e3 * series['one'].median:.1f} |", flush=True)


def errors(members: int, epochs: int) -> None:
    """Print errors, CRPS, spread over skill and coverage of one network and of an ensemble."""
    pde = Burgers(resolution=(128,), viscosities=(0.01,), n_frames=21, frame_interval=0.05, refinement=4)
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    options |= {"enable_progress_bar": False, "enable_model_summary": False}
    rollouts = RolloutEvaluation(
        metrics={"vrmse": VRMSE, "mae": MAE}, windows=[(0, 1), (9, 10), (19, 20)], n_pictures=0
    )
    rollouts.writes_report = False
    with tempfile.TemporaryDirectory() as folder:
        data = GeneratedDataModule(
            pde, folder, n_train=32, n_valid=99, n_test=200, n_steps_input=1, batch_size=16, rollout_batch_size=50
        )
        for size in (None, members):
            L.seed_everything(0)
            module = FNOModule(data.spec, [24], 24, n_layers=3, n_steps_input=1, ensemble_size=size)
            L.Trainer(max_epochs=epochs, limit_val_batches=0, **options).fit(module, data)
            for coverage, share in ((0.9, None), (0.9, 0.95)):
                calibration = ConformalCalibration(coverage, share)
                L.Trainer(callbacks=[calibration], **options).validate(module, data, verbose=False)
                trainer = L.Trainer(callbacks=[rollouts], **options)
                trainer.test(module, data, verbose=False)
                found = {name.removeprefix("test/rollout/"): float(v) for name, v in trainer.callback_metrics.items()}
                held = trajectories_held(module, data, share)
                print(f"{size or 1} network(s), {module.bands.meaning}: held by {held}")
                print(
                    {
                        name: float(f"{v:.4g}")
                        for name, v in found.items()
                        if "velocity" not in name and "mean" not in name
                    },
                    flush=True,
                )


def trajectories_held(module: FNOModule, data: GeneratedDataModule, share: float | None) -> str:
    """Return the share of points, or of trajectories with a share of their points, within the bands, by lead time."""
    inside = []
    for batch in data.rollout_dataloader("test"):
        found = module.forecast_distribution(batch)
        inside.append(((found.mean - batch.target).abs() <= found.half_width).double().mean(dim=-1)[..., 0])
    of_points = torch.cat(inside)
    held = (of_points if share is None else (of_points >= share - 1e-9).double()).mean(dim=0)
    return f"{held.mean():.3f} on average, {held.min():.3f} to {held.max():.3f} by lead time"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["cost", "errors"])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    if options.command == "cost":
        cost(options.members, options.rounds)
    else:
        errors(options.members, options.epochs)


if __name__ == "__main__":
    main()
