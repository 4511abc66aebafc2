"""Memory, handles and shared memory of a long training whose loaders start anew many times.

    python -m tests.soak [--steps 5000] [--folder /tmp/soak]

Each of four trainings of a small network takes so many steps: without a cache, with workers that are forked or
spawned for each epoch, and from the cache in memory with forked workers or none. At the end of each epoch the resident
memory of the process, open files, child processes and mapped parts of shared memory are counted. Printed are the
resident memory after the first fifth and at the end, its slope over the last four fifths, and by how much the largest
counts of the second half of these are above those of the first. The exit status is 1 if one of the counts grew, or
memory by more than 1 % in the last four fifths and 1 MB each 10,000 steps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import linear_regression
from typing import Any

import lightning as L
import torch
import torch.multiprocessing as mp
from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning import FNOModule
from fno_lightning.data import GeneratedDataModule
from tests.travelling_wave import TravellingWave

CASES: dict[str, dict[str, Any]] = {
    "no cache, forked workers": {"cache": "none", "num_workers": 2, "start": "fork", "epoch": 50},
    "no cache, spawned workers": {"cache": "none", "num_workers": 1, "start": "spawn", "epoch": 500},
    "cache in memory, forked workers": {"cache": "ram", "num_workers": 2, "start": "fork", "epoch": 50},
    "cache in memory, no workers": {"cache": "ram", "num_workers": 0, "start": "fork", "epoch": 50},
}
"""Data options, how workers are started, and steps of an epoch."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Counts(Callback):
    """What the process holds at the end of each epoch."""

    def __init__(self) -> None:
        self.found: list[dict[str, int]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count."""
        children = subprocess.run(["ps", "--ppid", str(os.getpid())], capture_output=True, check=False).stdout
        self.found.append(
            {
                "step": trainer.global_step,
                "memory": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
                "files": len(list(Path("/proc/self/fd").iterdir())),
                "children": children.count(b"\n"),
                "shared": Path("/proc/self/maps").read_text().count("/dev/shm/"),
            }
        )


def soak(case: str, steps: int, folder: str) -> list[dict[str, int]]:
    """Train, and return the counts of each epoch."""
    options = dict(CASES[case])
    mp.set_start_method(options.pop("start"), force=True)
    epoch = options.pop("epoch")
    torch.set_num_threads(1)
    L.seed_everything(0, verbose=False)
    data = GeneratedDataModule(
        TravellingWave(grid=(16,)), folder, n_train=max(2, epoch // 3), n_steps_input=2, batch_size=2, **options
    )
    module = FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2)
    counts = Counts()
    L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        limit_train_batches=epoch,
        limit_val_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[counts],
    ).fit(module, data)
    return counts.found


def report(case: str, found: list[dict[str, int]]) -> tuple[str, bool]:
    """Return the row of a table, and whether something grew."""
    steady = found[len(found) // 5 :]
    slope = linear_regression([one["step"] for one in steady], [one["memory"] for one in steady]).slope
    first, last = steady[0], steady[-1]
    halves = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    most = [{name: max(one[name] for one in half) for name in ("files", "children", "shared")} for half in halves]
    grown = {name: most[1][name] - most[0][name] for name in most[0]}  # batches on their way have files, too
    cells = [
        case,
        str(last["step"]),
        str(len(found)),
        *(f"{one['memory'] / 1e6:.1f}" for one in (first, last)),
        f"{slope * 1e4 / 1e6:+.2f}",
        *(f"{value:+d}" for value in grown.values()),
    ]
    leaks = last["memory"] > 1.01 * first["memory"] and slope * 1e4 > 1e6
    return f"| {' | '.join(cells)} |", leaks or any(value > 0 for value in grown.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5000, help="of each training")
    parser.add_argument("--case", choices=list(CASES), help="one of the trainings, in this process")
    parser.add_argument("--folder", help="of the data")
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp()
    if options.case:
        Path(folder, "counts.json").write_text(json.dumps(soak(options.case, options.steps, folder)))
        return 0
    print(
        "| training | steps | epochs | MB after a fifth | at the end | MB in 10,000 steps | files | children | shared |"
    )
    print(f"|---|{'---:|' * 8}")
    has_grown = False
    for case in CASES:
        command = [
            sys.executable,
            "-m",
            "tests.soak",
            "--case",
            case,
            "--steps",
            str(options.steps),
            "--folder",
            folder,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        row, grows = report(case, json.loads(Path(folder, "counts.json").read_text()))
        has_grown |= grows
        print(row, flush=True)
    return int(has_grown)


if __name__ == "__main__":
    sys.exit(main())
