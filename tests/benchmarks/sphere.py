"""Errors of spherical and plain Fourier neural operators on planetswe's stand-in, at equal CPU time.

    python -m tests.benchmarks.sphere [--seconds 60] [--seeds 0 1 2] [--networks sfno fno] [--folder runs/sphere]

Data are those of the configuration planetswe. A network takes a few steps, to see what they cost, and is then trained
from the start by AdamW and WarmupCosine with the number of steps that fill the CPU seconds. Printed are errors on the
test split, of the next frame and of rollouts: VRMSE over all points alike (The Well's) and over the area; mean and
range over the seeds, beside persistence. ``--rates`` trains with each of several learning rates.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial
from statistics import mean
from typing import Any

import lightning as L
import torch

from fno_lightning.config_files import find_config, read_config
from fno_lightning.data import GeneratedDataModule
from fno_lightning.metrics import VRMSE, SphericalVRMSE
from fno_lightning.modules import FNOModule, ForecastModule, SFNOModule, WarmupCosine
from fno_lightning.pdes import SphericalShallowWater

NETWORKS: dict[str, Any] = {
    "sfno": partial(SFNOModule, n_modes=(22, 42)),
    "sfno, by_order": partial(SFNOModule, n_modes=(22, 42), by_order=True),
    "fno": partial(FNOModule, n_modes=(16, 32)),
    "fno, bases: auto": partial(FNOModule, n_modes=(16, 32), bases="auto"),
}
WINDOWS = {"next": slice(0, 1), "6-12 h": slice(6, 12), "13-30 h": slice(13, 30)}
TRIAL_STEPS = 15


def trained(kind: str, data: GeneratedDataModule, seed: int, n_steps: int, rate: float) -> tuple[ForecastModule, float]:
    """Return a module after some steps, and the CPU seconds that they took."""
    L.seed_everything(seed, verbose=False)
    module: ForecastModule = NETWORKS[kind](
        data.spec,
        hidden_channels=32,
        n_steps_input=data.n_steps_input,
        residual=True,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-4),
        lr_scheduler=WarmupCosine,
    )
    trainer = L.Trainer(
        max_steps=n_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    begin = time.process_time()
    trainer.fit(module, datamodule=data)
    return module, time.process_time() - begin


def errors(module: ForecastModule | None, data: GeneratedDataModule) -> dict[str, float]:
    """Return the errors of rollouts on the test split, of persistence without a module."""
    metrics = {"points": VRMSE(2), "area": SphericalVRMSE(2)}
    dataset = data.rollout_dataset("test")
    for number in range(len(dataset)):  # type: ignore[arg-type]
        batch = dataset.__getitems__([number])  # type: ignore[attr-defined]
        target = batch.target[:, :30]
        forecast = (
            batch.history[:, -1:].expand_as(target)
            if module is None
            else module.forecast(batch, n_steps=target.shape[1])
        )
        for metric in metrics.values():
            metric.update(forecast, target)
    by_lead_time = {name: metric.compute().mean(dim=1) for name, metric in metrics.items()}
    return {
        f"{window}, {name}": float(values[steps].mean())
        for window, steps in WINDOWS.items()
        for name, values in by_lead_time.items()
    }


def row(name: str, results: list[dict[str, float]], numbers: str = "") -> str:
    """Return a row of a table: mean, and range of several seeds."""
    cells = []
    for key in results[0]:
        values = [result[key] for result in results]
        spread = f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else ""
        cells.append(f"{mean(values):.4f}{spread}")
    return f"| {name} | {numbers} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rates", nargs="+", type=float, default=[5e-3])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--folder", default="runs/sphere")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    settings = read_config(find_config("planetswe"))["data"]["init_args"]
    pde = SphericalShallowWater(**settings["pde"]["init_args"])
    data = GeneratedDataModule(pde, options.folder, **{k: v for k, v in settings.items() if k != "pde"} | {"n_test": 3})
    data.prepare_data()
    data.setup()
    print("| network | parameters, ms a step, steps, CPU s |", " | ".join(errors(None, data)), "|")
    print(row("persistence", [errors(None, data)]), flush=True)
    for kind in options.networks:
        for rate in options.rates:
            results, spent = [], []
            for seed in options.seeds:
                _, seconds = trained(kind, data, seed, TRIAL_STEPS, rate)
                n_steps = int(options.seconds / seconds * TRIAL_STEPS)
                module, seconds = trained(kind, data, seed, n_steps, rate)
                results.append(errors(module, data))
                spent.append(seconds)
            n_parameters = sum(p.numel() for p in module.network.parameters())
            cost = f"{n_parameters}, {1e3 * seconds / n_steps:.0f}, {n_steps}, {min(spent):.0f} to {max(spent):.0f}"
            print(row(f"{kind}, lr {rate:g}", results, cost), flush=True)


if __name__ == "__main__":
    main()
