"""One run in a process of its own: train, or go on from the last checkpoint, then evaluate on the test split.

    python -m tests.race.training FOLDER

The folder holds ``run.json``; the results are written to ``results.json`` when all is done.
"""

from __future__ import annotations

import gc
import logging
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from lightning.pytorch.callbacks import ModelCheckpoint

from fno_lightning.cli import FNOCLI
from fno_lightning.data import Batch
from tests.benchmarks.checks import parameter_count
from tests.benchmarks.environment import environment
from tests.race.clocks import TrainingRecord
from tests.race.evaluation import Forecast, evaluate, persistence
from tests.race.session import HERE, read_json, session, write_json

RESULTS = "results.json"
LAST = "checkpoints/last.ckpt"
WINDOW = "val/rollout/vrmse_6-12"
CHECKPOINTS = {"rollout": WINDOW, "next step": "val/vrmse"}
"""What a checkpoint is the best of, and the error that it is chosen by."""


def configured(race: Path, name: str, *options: str) -> FNOCLI:
    """Return the session of a contestant's training."""
    files = ("set.yaml", HERE / "training.yaml", f"contestants/{name}.yaml", "options.yaml")
    return session(*(race / file for file in files), options=options)


def test_session(race: Path) -> FNOCLI:
    """Return the session of the evaluation, the same for every contestant."""
    return session(race / "set.yaml", HERE / "evaluation.yaml", race / "options.yaml")


def validation_score(validations: list[dict[str, float]]) -> float:
    """Return the smallest sum of the errors of the next step and of rollouts over 6:12, of all validations."""
    sums = [record["val/vrmse"] + record[WINDOW] for record in validations]
    return min((value for value in sums if math.isfinite(value)), default=math.inf)


def train(folder: Path, run: dict[str, Any]) -> FNOCLI:
    """Train as long as the run is to be, from its last checkpoint if there is one.

    Raises:
        RuntimeError: if the training ends early.
    """
    n_steps = run["steps"]
    own = configured(
        folder / run["race"],
        run["contestant"],
        f"--seed_everything={run['seed']}",
        f"--trainer.default_root_dir={folder}",
        f"--trainer.max_steps={n_steps}",
        f"--trainer.val_check_interval={n_steps // run['n_validations']}",
        f"--model.init_args.optimizer.init_args.lr={run['rate']}",
    )
    own.trainer.fit(own.model, datamodule=own.datamodule, ckpt_path=last_checkpoint(folder))
    if own.trainer.global_step < n_steps:
        raise RuntimeError(f"training ended after {own.trainer.global_step} of {n_steps} steps")
    return own


def last_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint to go on from, if there is one that can be read."""
    path = folder / LAST
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # absent, or cut short by what ended the run
        return None
    return path


def forecaster(own: FNOCLI, checkpoint: Path, device: torch.device) -> tuple[Forecast, int]:
    """Return what forecasts with the weights of a checkpoint, in the precision of the training, and its step."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module = own.model
    module.load_state_dict(saved["state_dict"])
    module.to(device)
    n_history = module.n_steps_input

    def forecast(batch: Batch, n_steps: int) -> torch.Tensor:
        with own.trainer.precision_plugin.forward_context():
            return module.forecast(batch._replace(history=batch.history[:, -n_history:]), n_steps=n_steps)

    return forecast, int(saved["global_step"])


def trained_results(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate both best checkpoints, and return the results."""
    own = train(folder, run)
    device = own.trainer.strategy.root_device
    record = next(callback for callback in own.trainer.callbacks if isinstance(callback, TrainingRecord))
    best = {
        what: Path(callback.best_model_path)
        for what, monitor in CHECKPOINTS.items()
        for callback in own.trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.monitor == monitor
    }
    memory = peak_memory(device)
    own.datamodule._reset()  # the copy of the data in memory
    gc.collect()
    test = test_session(folder / run["race"])
    evaluations: dict[str, dict[str, Any]] = {}
    for what, checkpoint in best.items():
        forecast, step = forecaster(own, checkpoint, device)
        same = next((other for other in evaluations.values() if other["step"] == step), None)
        evaluations[what] = same or {"step": step, **evaluate(forecast, test.datamodule, test.model, device)}
    return {
        "score": validation_score(record.validations),
        "parameters": parameter_count(own.model.network),
        "batch_size": own.datamodule.batch_size,
        "memory": memory,
        "training_seconds": record.seconds,
        "validations": record.validations,
        "checkpoints": evaluations,
    }


def peak_memory(device: torch.device) -> int:
    """Return the largest number of bytes so far: of the device, or the resident memory of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def persistence_results(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the forecast that nothing changes."""
    test = test_session(folder / run["race"])
    evaluation = evaluate(persistence, test.datamodule, test.model, torch.device("cpu"))
    return {"score": 0.0, "checkpoints": {"": evaluation}}


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    run = read_json(folder / "run.json")
    torch.set_num_threads(run["threads"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with FileLock(folder / ".lock"):  # a process of a race that was killed may still be at it
        if (folder / RESULTS).is_file():
            return
        begin = time.perf_counter()
        results = (trained_results if run["is_trained"] else persistence_results)(folder, run)
        seconds = time.perf_counter() - begin
        machine = environment(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        write_json(folder / RESULTS, {**run, **results, "seconds": seconds, "environment": machine})
        (folder / LAST).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
