"""Errors of trainings by data, by the equation, and by both, after the same time.

    python -m tests.benchmarks.physics [--seeds 0 1 2] [--seconds 10] [--samples 32 512] [--folder runs/physics]
    python -m tests.benchmarks.physics --kinds SoftAdapt ReLoBRaLo InverseGradientNorm --samples 32

Every training is that of a configuration with another loss and number of samples. All have the same time: as many
optimizer steps as take ``--seconds`` of one thread at the time of a step of this loss, measured once, in turns with
steps of the data's (``steps.json`` in the folder). Printed are the relative L2 error on the test split (over all
frames), the root mean square of the residual there, beside that of the data, steps and milliseconds of a step; mean and
standard deviation over the seeds; and the errors of forecasts that PhysicsRefinement fine-tunes, with its CPU seconds
for each forecast. Results are kept in the folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning.callbacks import PhysicsRefinement
from fno_lightning.cli import FNOCLI
from fno_lightning.config_files import find_config, read_config
from fno_lightning.data import Batch
from fno_lightning.losses import Comparison, EquationResidual
from tests.benchmarks.equal_time import callback, spread, step_time, train

DATA, EQUATION = "fno_lightning.losses.RelativeL2", "fno_lightning.losses.EquationResidual"
BALANCED = ("SoftAdapt", "ReLoBRaLo", "InverseGradientNorm")
KINDS = ("data", "data and equation", "equation")
NAMES = {
    "burgers_physics_and_data": KINDS + BALANCED,
    "darcy_physics_and_data": KINDS + BALANCED,
    "poisson_physics_informed": ("data", "equation"),
}
"""Configurations and the losses that they are trained with."""
REFINEMENT = {"n_iterations": 100, "lr": 1e-3}
"""Of a forecast."""


def loss_of(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the loss of a kind of training; the sum of both is that of the configuration."""
    if kind == "data":
        return {"class_path": DATA}
    if kind == "equation":
        return {"class_path": EQUATION}
    own: dict[str, Any] = settings["model"]["init_args"]["loss"]
    if kind == "data and equation":
        return own
    losses = own["init_args"]["losses"]
    return {"class_path": f"fno_lightning.losses.{kind}", "init_args": {"losses": losses}}


class MeanResidual(Callback):
    """Mean square of the residual of predictions and of targets of a test."""

    def __init__(self) -> None:
        self.residual = EquationResidual()
        self.values: list[tuple[float, float]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the equation of the data."""
        self.residual.bind(pl_module.spec)
        self.residual.take_equation(trainer.datamodule.equation)
        self.values = []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Add a batch."""
        both = outputs["prediction"], batch.target
        known = Comparison(lambda _: both, batch.history, batch.constants, batch.scalars)
        self.values.append((self.residual.compare(known).item(), self.residual.of_data(known).item()))

    def roots(self) -> list[float]:
        """Return the root mean squares of the residuals of predictions and of targets."""
        return [mean(values) ** 0.5 for values in zip(*self.values, strict=True)]


def session(name: str, kind: str, samples: int, seed: int, steps: int, options: argparse.Namespace) -> FNOCLI:
    """Train for a number of steps."""
    settings = read_config(find_config(name))
    settings["seed_everything"] = seed
    settings["model"]["init_args"]["loss"] = loss_of(kind, settings)
    settings["data"]["init_args"] |= {"base_path": options.data, "n_train": samples}
    callbacks = [
        {"class_path": "fno_lightning.callbacks.OneStepErrors"},
        {"class_path": "tests.benchmarks.physics.MeanResidual"},
    ]
    folder = Path(options.folder) / f"{name}-{kind.replace(' ', '-')}-{samples}-{seed}"
    return train(settings, folder, steps, callbacks)


def seconds_of_step(name: str, kind: str, options: argparse.Namespace) -> float:
    """Return the CPU seconds of a step, beside one of the training by data."""
    file = Path(options.folder) / "steps.json"

    def short_training(named: str, steps: int) -> FNOCLI:
        return session(name, named.removeprefix(f"{name}, "), min(options.samples), 0, steps, options)

    return step_time(f"{name}, {kind}", f"{name}, data", file, short_training)


def result(name: str, kind: str, samples: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and test, unless that is done already."""
    folder = Path(options.folder) / f"{name}-{kind.replace(' ', '-')}-{samples}-{seed}"
    file = folder / f"result-{options.seconds:g}.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    steps = round(options.seconds / seconds_of_step(name, kind, options))
    trained = session(name, kind, samples, seed, steps, options)
    times = callback(trained, "StepClock").times
    errors = tested(trained)
    residuals = callback(trained, "MeanResidual").roots()
    found = {
        "steps": steps,
        "seconds": times[-1] - times[0],
        "residual": residuals[0],
        "of data": residuals[1],
    } | errors
    refinement = PhysicsRefinement(**REFINEMENT)
    trained.trainer.callbacks.append(refinement)
    begin = time.process_time()
    found["refined"] = tested(trained)["error"]
    found["seconds refined"] = (time.process_time() - begin) / len(trained.datamodule.dataset("test"))
    found["refined residual"] = callback(trained, "MeanResidual").roots()[0]
    file.write_text(json.dumps(found))
    return found


def tested(trained: FNOCLI) -> dict[str, float]:
    """Return the errors of model and baselines on the test split, over all frames."""
    (values,) = trained.trainer.test(trained.model, datamodule=trained.datamodule, verbose=False)
    n_frames = trained.datamodule.n_steps_output
    ending = f"nrmse_0-{n_frames}" if n_frames > 1 else "nrmse"
    names = {"error": "test", "persistence": "test/persistence", "mean": "test/mean"}
    return {name: values[f"{path}/{ending}"] for name, path in names.items() if f"{path}/{ending}" in values}


def table(runs: dict[tuple[str, int, str], list[dict[str, Any]]]) -> str:
    """Return the results of trainings and the baselines of each configuration as a table."""
    lines = [
        "| configuration | samples | loss | relative L2 | residual | steps | ms a step | refined | s a forecast |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, samples, kind), of_seeds in runs.items():
        cells = [
            spread(of_seeds, "error", ".4f"),
            spread(of_seeds, "residual", ".2g"),
            f"{of_seeds[0]['steps']}",
            f"{1e3 * mean(run['seconds'] / run['steps'] for run in of_seeds):.1f}",
            *(spread(of_seeds, key, ".3g") for key in ("refined", "seconds refined")),
        ]
        lines.append(f"| {name} | {samples} | {kind} | {' | '.join(cells)} |")
    for name in dict.fromkeys(name for name, *_ in runs):
        first = next(of_seeds[0] for key, of_seeds in runs.items() if key[0] == name)
        baselines = [key for key in ("persistence", "mean") if key in first]
        lines += [f"| {name} | | {baseline} | {first[baseline]:.3g} | | | | | |" for baseline in baselines]
        lines.append(f"| {name} | | solutions | 0 | {first['of data']:.2g} | | | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(NAMES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS + BALANCED, default=list(KINDS))
    parser.add_argument("--samples", nargs="+", type=int, default=[32, 512])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=10, help="CPU seconds of a training")
    parser.add_argument("--folder", default="runs/physics")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    torch.set_num_threads(1)
    combinations = [
        (name, samples, kind)
        for name in options.names
        for samples in options.samples
        for kind in options.kinds
        if kind in NAMES[name]
    ]
    runs: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for seed in options.seeds:
        for name, samples, kind in combinations:
            found = result(name, kind, samples, seed, options)
            runs.setdefault((name, samples, kind), []).append(found)
            print(f"{name}, {samples} samples, {kind}, seed {seed}: {found}", flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
