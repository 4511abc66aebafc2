"""Errors and times of trainings that grow: in modes, in points, or by transformed samples.

    python -m tests.benchmarks.growing [--seeds 0 1 2] [--epochs 12] [--folder runs/growing]

Every training is that of tests/benchmarks/darcy_32.yaml on 512 samples, with one thing changed, and has equally many
steps. Printed are the relative L2 error on the test split after the training, the CPU seconds of its steps (loading,
but neither validation nor set-up), the seconds until the validation error was below that of ``all modes`` after the
training, of the same seed, plus 5 %, and the modes at the end; mean and standard deviation over the seeds. Results are
kept in the folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning.callbacks import IncrementalModes
from fno_lightning.cli import main as command_line
from fno_lightning.config_files import find_config, read_config

CONFIG = "tests/benchmarks/darcy_32.yaml"
LOSS, GRADIENT = (f"fno_lightning.callbacks.IncrementalModesBy{what}" for what in ("Loss", "Gradient"))
KINDS: dict[str, dict[str, Any]] = {
    "all modes": {},
    "modes by loss": {"callback": (LOSS, {"start": 4, "step": 4, "epsilon": 0.15})},
    "modes by loss, new ones as built": {
        "callback": (LOSS, {"start": 4, "step": 4, "epsilon": 0.15, "new_modes": "initial"})
    },
    "modes by gradient": {"callback": (GRADIENT, {"start": 4, "step": 4, "threshold": 0.995})},
    "modes by gradient, threshold 0.999": {"callback": (GRADIENT, {"start": 4, "step": 4, "threshold": 0.999})},
    "coarse to fine": {"data": {"train_strides": [1, 2], "coarsen": "mean", "train_grid_epochs": [4]}},
    "flips and rotations": {"data": {"augment": ["flip", "rotate"]}},
}


class Clock(Callback):
    """CPU seconds of the training so far and the validation error, after each epoch."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.curve: list[tuple[float, float]] = []
        self._begin = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._begin = time.process_time()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.seconds += time.process_time() - self._begin

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the error."""
        self.curve.append((self.seconds, float(trainer.callback_metrics["val/nrmse"])))


def result(kind: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and test, unless that is done already."""
    folder = Path(options.folder) / f"{kind.replace(',', '').replace(' ', '-')}-{options.epochs}-{seed}"
    file = folder / "result.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    settings = read_config(find_config(CONFIG))
    settings["seed_everything"] = seed
    settings["data"]["init_args"] |= {"base_path": options.data, "n_train": 512} | KINDS[kind].get("data", {})
    callbacks = [{"class_path": "fno_lightning.callbacks.OneStepErrors"}]
    if "callback" in KINDS[kind]:
        path, init_args = KINDS[kind]["callback"]
        callbacks.append({"class_path": path, "init_args": init_args})
    callbacks.append({"class_path": "tests.benchmarks.growing.Clock"})
    settings["trainer"] = {
        "max_epochs": options.epochs,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
        "default_root_dir": str(folder),
        "callbacks": callbacks,
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    trained = command_line(["fit", "--config", str(config)])
    (clock,) = (c for c in trained.trainer.callbacks if type(c).__name__ == "Clock")
    modes = [c.n_modes for c in trained.trainer.callbacks if isinstance(c, IncrementalModes)]
    tested = trained.trainer.test(trained.model, datamodule=trained.datamodule, verbose=False)
    found = {"error": tested[0]["test/nrmse"], "curve": clock.curve, "modes": modes[0] if modes else None}
    file.write_text(json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", default="runs/growing")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    goals = {seed: 1.05 * result("all modes", seed, options)["curve"][-1][1] for seed in options.seeds}
    lines = ["| training | relative L2 | CPU s | CPU s to the error of all modes | modes |", "|---|---:|---:|---:|---|"]
    for kind in options.kinds:
        runs = {seed: result(kind, seed, options) for seed in options.seeds}
        errors = [run["error"] for run in runs.values()]
        totals = [run["curve"][-1][0] for run in runs.values()]
        reached = [
            min((seconds for seconds, error in run["curve"] if error <= goals[seed]), default=None)
            for seed, run in runs.items()
        ]
        times = [seconds for seconds in reached if seconds is not None]
        cell = f"{mean(times):.1f} ± {pstdev(times):.1f}" if times else "-"
        if len(times) < len(runs):
            cell += f" ({len(times)} of {len(runs)} reached it)"
        modes = ", ".join("x".join(map(str, run["modes"])) for run in runs.values() if run["modes"])
        cells = [
            f"{mean(errors):.4f} ± {pstdev(errors):.4f}",
            f"{mean(totals):.1f} ± {pstdev(totals):.1f}",
            cell,
            modes,
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
