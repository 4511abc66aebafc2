"""Memory and errors of networks that are applied to patches, beside the same networks on whole fields.

    python -m tests.benchmarks.patching memory [--grids 256 512 1024]
    python -m tests.benchmarks.patching errors [--seeds 0 1 2] [--steps 120]

``memory`` prints the largest resident memory of a training step, and of a forecast of one frame, of an FNO (width 32,
16 x 16 modes, 4 layers, batch 1, float32) beyond that of a process that has done the same on a tiny field; each in a
process of its own, as the kernel counts it (VmHWM). The C library is told to return what is freed
(``MALLOC_MMAP_THRESHOLD_``); ``--malloc default`` leaves its allocator as it is, ``--malloc keep`` calls
``keep_freed_memory`` as the command line does. Patches are 128 points wide with halos of 16, so that their number grows
with the field.

``errors`` prints the errors of the next frame on a test split after equally many steps of training on a small problem,
from the same batches: mean and range over the seeds, which change weights and batches.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import lightning as L
import torch

from fno_lightning.data import Batch, FieldDataModule, FieldSpec, GeneratedDataModule
from fno_lightning.malloc import keep_freed_memory
from fno_lightning.modules import FNOModule, MultigridPatching
from fno_lightning.pdes import NavierStokes

WORK: dict[str, dict[str, Any]] = {
    "whole": {},
    "whole, activation_checkpointing=full": {"activation_checkpointing": "full"},
    "patches": {"patching": {}},
    "patches, levels=1": {"patching": {"levels": 1}},
    "patches, chunk=4": {"patching": {"chunk": 4}},
}

MALLOC = ("return", "default", "keep")


def module_on(n_points: int, kind: str, width: int) -> FNOModule:
    """Return a module for a square grid, cut into patches of a width, if at all."""
    torch.manual_seed(0)
    spec = FieldSpec("noise", ("u", "v"), (n_points,) * 2, boundaries=(("periodic", "periodic"),) * 2)
    options = dict(WORK[kind])
    if "patching" in options:
        options["patching"] = MultigridPatching([n_points // width] * 2, halo=width // 8, **options["patching"])
    return FNOModule(spec, (16, 16), 32, n_steps_input=2, **options)


def work(n_points: int, kind: str, task: str, width: int = 128) -> None:
    """Do a training step, or a forecast."""
    module = module_on(n_points, kind, width)
    batch = Batch(
        torch.randn(1, 2, 2, *[n_points] * 2),
        torch.empty(1, 0, *[n_points] * 2),
        torch.empty(1, 0),
        torch.randn(1, 1, 2, *[n_points] * 2),
    )
    if task == "forecast":
        module.forecast(batch)
        return
    module.train()
    optimizer = torch.optim.AdamW(module.parameters())
    module.step(batch)[0].backward()
    optimizer.step()


def resident(name: str) -> float:
    """Return an entry of the kernel's account of this process, in MB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024e-6


def in_own_process(n_points: int, kind: str, task: str, malloc: str) -> tuple[float, float]:
    """Return the memory in MB and the CPU seconds of a piece of work."""
    command = [sys.executable, "-m", "tests.benchmarks.patching", "one", str(n_points), kind, task, malloc]
    returned = {"MALLOC_MMAP_THRESHOLD_": "1000000"} if malloc == "return" else {}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | returned).stdout
    memory, seconds = map(float, found.split())
    return memory, seconds


def one(n_points: int, kind: str, task: str, malloc: str) -> None:
    """Print the memory and the CPU seconds of a piece of work in this process."""
    if malloc == "keep":
        keep_freed_memory()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    work(32, kind, task, width=16)  # loads libraries and their kernels
    before = resident("VmHWM")
    begin = time.process_time()
    work(n_points, kind, task)
    print(resident("VmHWM") - before, time.process_time() - begin)


def memory(grids: list[int], malloc: str) -> None:
    """Print the table of the memory."""
    print("| MB (CPU s) | " + " | ".join(f"{n} x {n}" for n in grids) + " |\n" + "|---" * (1 + len(grids)) + "|")
    for task in ("training step", "forecast"):
        for kind in WORK:
            if task == "training step" or "full" not in kind:
                found = [in_own_process(n_points, kind, task, malloc) for n_points in grids]
                cells = [f"{megabytes:.0f} ({seconds:.1f})" for megabytes, seconds in found]
                print(f"| {task}, {kind} | {' | '.join(cells)} |", flush=True)


Make = Callable[..., MultigridPatching]
QUARTERS: Make = partial(MultigridPatching, n_patches=(2, 2), halo=8, chunk=16)
CASES: dict[str, dict[str, object]] = {
    "whole field": {},
    "patches": {"patching": QUARTERS(), "bases": "auto"},
    "patches, levels=1": {"patching": QUARTERS(levels=1), "bases": "auto"},
    "patches, levels=1, Fourier": {"patching": QUARTERS(levels=1)},
    "patches, levels=1, positions=false": {"patching": QUARTERS(levels=1, positions=False), "bases": "auto"},
    "patches, levels=1, halo=4": {"patching": QUARTERS(levels=1, halo=4), "bases": "auto"},
    "patches, levels=1, trained_patches=1": {"patching": QUARTERS(levels=1, trained_patches=1), "bases": "auto"},
}


def trained_error(data: FieldDataModule, seed: int, n_steps: int, options: dict[str, object]) -> tuple[float, float]:
    """Return the error on the test split after a training, and the CPU seconds of the training."""
    L.seed_everything(seed, verbose=False)
    module = FNOModule(
        data.spec,
        (12, 12),
        16,
        3,
        n_steps_input=data.n_steps_input,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-3, weight_decay=1e-4),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps),
        lr_interval="step",
        **options,
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=n_steps,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    begin = time.process_time()
    L.seed_everything(seed, verbose=False)
    trainer.fit(module, data)
    seconds = time.process_time() - begin
    return trainer.test(module, data, verbose=False)[0]["test/vrmse"], seconds


def errors(seeds: list[int], n_steps: int, cases: list[str]) -> None:
    """Print the table of the errors."""
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "fno_lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        pde = NavierStokes((64, 64), viscosities=(1e-3,), n_frames=21, refinement=1, precision="float32")
        data = GeneratedDataModule(pde, folder, n_train=8, n_valid=1, n_test=2, n_steps_input=2, batch_size=4)
        data.prepare_data()
        print("| | VRMSE of the next frame | range | CPU s |\n|---|---|---|---|")
        for case in cases:
            results = [trained_error(data, seed, n_steps, CASES[case]) for seed in seeds]
            found = [error for error, _ in results]
            spent = mean(seconds for _, seconds in results)
            print(f"| {case} | {mean(found):.4f} | {min(found):.4f} to {max(found):.4f} | {spent:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_memory = commands.add_parser("memory")
    of_memory.add_argument("--grids", type=int, nargs="+", default=[256, 512, 1024])
    of_memory.add_argument("--malloc", choices=MALLOC, default="return")
    of_errors = commands.add_parser("errors")
    of_errors.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    of_errors.add_argument("--steps", type=int, default=120)
    of_errors.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    of_one = commands.add_parser("one")
    of_one.add_argument("n_points", type=int)
    of_one.add_argument("kind", choices=list(WORK))
    of_one.add_argument("task", choices=["training step", "forecast"])
    of_one.add_argument("malloc", choices=MALLOC)
    options = vars(parser.parse_args())
    command = options.pop("command")
    if command == "errors":
        errors(options["seeds"], options["steps"], options["cases"])
    else:
        {"memory": memory, "one": one}[command](**options)


if __name__ == "__main__":
    main()
