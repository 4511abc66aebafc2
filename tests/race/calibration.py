"""Seconds of a training step of each contestant, measured in turns.

    python -m tests.race.calibration FOLDER NAME ...

The first contestant that can be trained is the reference: the time of every other is its ratio to the reference's in
the same round, so that load by other programs cancels. Writes ``calibration.json`` in the folder of the race.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from fno_lightning.cli import FNOCLI
from tests.race.clocks import POINTS, StepTimer
from tests.race.session import HERE, read_json, session, write_json

FILE = "calibration.json"
N_STEPS = 100_000  # of the training whose progress is set
N_WARMUP_ROUNDS = 1


def costs(rounds: Mapping[str, Sequence[float]], reference: str) -> dict[str, float]:
    """Return the time of each contestant's step as a multiple of the reference's: the median over the rounds."""
    return {
        name: median(own / other for own, other in zip(times, rounds[reference], strict=True))
        for name, times in rounds.items()
    }


def seconds_per_step(calibration: Mapping[str, Any], name: str) -> float:
    """Return the nominal seconds of a contestant's step: those of the reference, times the contestant's cost."""
    return float(calibration["seconds"] * calibration["costs"][name])


def merged_calibration(
    old: Mapping[str, Any],
    rounds: Mapping[str, Sequence[float]],
    reference: str,
    errors: Mapping[str, str],
    nominal: float | None = None,
) -> dict[str, Any]:
    """Add contestants to a calibration; the first one fixes the nominal speed: what is given, or its fastest round."""
    return {
        "reference": old.get("reference", reference),
        "seconds": old.get("seconds", nominal or min(rounds[reference])),
        "costs": {**costs(rounds, reference), **old.get("costs", {})},
        "rounds": {**rounds, **old.get("rounds", {})},
        "errors": {**old.get("errors", {}), **errors},
    }


def prepared(folder: Path, name: str, known: list[FNOCLI]) -> FNOCLI:
    """Return the session of a contestant; contestants with the same data share them.

    Raises:
        ValueError: if its configuration is refused; says why.
    """
    files = ("set.yaml", HERE / "training.yaml", f"contestants/{name}.yaml", HERE / "calibration.yaml", "options.yaml")
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            own = session(*(folder / file for file in files), options=[f"--trainer.max_steps={N_STEPS}"])
    except SystemExit as error:
        reason = error.code if isinstance(error.code, str) else words.getvalue()
        raise ValueError(reason.partition("(fno-lightning --help")[0].strip()) from error
    same = (other for other in known if other.config.as_dict()["data"] == own.config.as_dict()["data"])
    own.datamodule = next((other.datamodule for other in same), own.datamodule)
    known.append(own)
    return own


def measure(own: FNOCLI, seconds: float, offset: int) -> float:
    """Return the mean seconds of a training step."""
    timer = StepTimer(seconds / len(POINTS), offset=offset)
    others = own.trainer.callbacks
    own.trainer.callbacks = [*others, timer]
    try:
        own.trainer.fit(own.model, datamodule=own.datamodule)
    finally:
        own.trainer.callbacks = others
    return timer.mean


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    settings = read_json(folder / "race.json")
    torch.set_num_threads(settings["threads"])
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rounds: dict[str, list[float]] = {name: [] for name in names}
    errors: dict[str, str] = {}
    sessions: dict[str, FNOCLI] = {}
    known: list[FNOCLI] = []
    for number in range(settings["rounds"] + N_WARMUP_ROUNDS):
        is_warm = number >= N_WARMUP_ROUNDS
        for name in [name for name in names if name not in errors]:
            try:
                if name not in sessions:
                    sessions[name] = prepared(folder, name, known)
                time = measure(sessions[name], settings["slice"] if is_warm else 0.0, offset=997 * number)
            except Exception as error:
                errors[name] = " ".join(f"{error}".split()) or type(error).__name__
                rounds.pop(name)
                continue
            if is_warm:
                rounds[name].append(time)
    old = read_json(folder / FILE)
    reference = old.get("reference") or next(iter(rounds), "")
    if reference not in rounds:
        raise RuntimeError(errors.get(reference) or f"no contestant can be trained: {errors}")
    write_json(folder / FILE, merged_calibration(old, rounds, reference, errors, settings.get("nominal")))


if __name__ == "__main__":
    main()
