"""Errors with the bases of an axis that is not periodic, after the same time.

    python -m tests.benchmarks.bases [--seeds 0 1 2] [--seconds 60] [--names trl2d ...] [--folder runs/bases]

Every training is that of a configuration whose axes that are not periodic have another basis: Fourier modes that wrap
around, Fourier modes on a domain that is padded by an eighth on both sides, cosines (``bases: auto``) or sines. All
keep equally many modes and have the same time: as many optimizer steps as take ``--seconds`` of one thread at the time
of a step, measured once, in turns with steps that wrap around. Printed are the errors on the test split, mean and
standard deviation over the seeds: VRMSE of the next frame and of rollouts, relative L2 of steady problems. Results are
kept in the folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from fno_lightning.cli import FNOCLI
from fno_lightning.config_files import find_config, read_config
from tests.benchmarks.equal_time import callback, spread, step_time, train

WRAPPED, PADDED = "Fourier, wrapped", "Fourier, padded"
BASES = {WRAPPED: "fourier", PADDED: "fourier", "cosine": "cosine", "sine": "sine"}
PADDING = 0.125
RESOLUTIONS = {"trl2d": None, "darcy": [32, 32], "nonlinear_poisson": [32, 32]}
"""Configurations and their grids, where they are not those of the file."""
PERIODIC = {"trl2d": (True, False), "darcy": (False, False), "nonlinear_poisson": (False, False)}
ERRORS = {"one step": "test/vrmse", "6:12": "test/rollout/vrmse_6-12", "13:30": "test/rollout/vrmse_13-30"}
STEADY = {"relative L2": "test/nrmse"}


def session(name: str, kind: str, seed: int, steps: int, options: argparse.Namespace) -> FNOCLI:
    """Train for a number of steps."""
    settings = read_config(find_config(name))
    settings["seed_everything"] = seed
    settings["data"]["init_args"]["base_path"] = options.data
    if RESOLUTIONS[name]:
        settings["data"]["init_args"]["pde"]["init_args"]["resolution"] = RESOLUTIONS[name]
        settings["model"]["init_args"]["n_modes"] = [n // 2 for n in RESOLUTIONS[name]]
    settings["model"]["init_args"] |= {
        "bases": ["fourier" if periodic else BASES[kind] for periodic in PERIODIC[name]],
        "domain_padding": [0.0 if periodic or kind != PADDED else PADDING for periodic in PERIODIC[name]],
    }
    callbacks: list[dict[str, Any]] = [{"class_path": "fno_lightning.callbacks.OneStepErrors"}]
    if not RESOLUTIONS[name]:
        evaluation = {"n_pictures": 0, "every_n_epochs": 1000}
        callbacks.append({"class_path": "fno_lightning.callbacks.RolloutEvaluation", "init_args": evaluation})
    folder = Path(options.folder) / f"{name}-{kind.replace(', ', '-')}-{seed}"
    return train(settings, folder, steps, callbacks)


def result(name: str, kind: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train and test, unless that is done already."""
    file = Path(options.folder) / f"{name}-{kind.replace(', ', '-')}-{seed}" / f"result-{options.seconds:g}.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))

    def short_training(named: str, steps: int) -> FNOCLI:
        return session(name, named.removeprefix(f"{name}, "), 0, steps, options)

    times = Path(options.folder) / "steps.json"
    steps = round(options.seconds / step_time(f"{name}, {kind}", f"{name}, {WRAPPED}", times, short_training))
    trained = session(name, kind, seed, steps, options)
    seconds = callback(trained, "StepClock").times
    (logged,) = trained.trainer.test(trained.model, datamodule=trained.datamodule, verbose=False)
    names = STEADY if RESOLUTIONS[name] else ERRORS
    found = {error: logged[key] for error, key in names.items()}
    found |= {"steps": steps, "seconds": seconds[-1] - seconds[0]}
    file.write_text(json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=list(PERIODIC), default=list(PERIODIC))
    parser.add_argument("--kinds", nargs="+", choices=list(BASES), default=list(BASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=60, help="CPU seconds of a training")
    parser.add_argument("--folder", default="runs/bases")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    torch.set_num_threads(1)
    for name in options.names:
        errors = STEADY if RESOLUTIONS[name] else ERRORS
        print(f"| {name} | {' | '.join(errors)} | steps | CPU s |\n|---|{'---:|' * (len(errors) + 2)}")
        for kind in options.kinds:
            runs = [result(name, kind, seed, options) for seed in options.seeds]
            cells = [
                *(spread(runs, error, ".4f") for error in errors),
                f"{runs[0]['steps']}",
                spread(runs, "seconds", ".0f"),
            ]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
