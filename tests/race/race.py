"""The loop over the runs, each in a process of its own, and what it keeps in its folder."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from fno_lightning.config_files import read_config
from fno_lightning.files import atomic_file
from tests.race import calibration
from tests.race.calibration import seconds_per_step
from tests.race.plan import Entrant, Run, next_run
from tests.race.session import HERE, read_json, set_threads, write_json
from tests.race.training import RESULTS

logger = logging.getLogger(__name__)

RATES = (2e-3, 5e-3, 1e-2)
"""Learning rates of a contestant that names none."""

FAILED = "error.json"
SETTINGS = "race.json"


@dataclass(frozen=True)
class Race:
    """A race: contestants at equal wall-clock on one data set.

    Args:
        folder: Folder of everything that is kept.
        contestants: Files of the contestants.
        set_file: File of the data set.
        data: Folder of the data sets.
        budget: Seconds of training of a run, at the nominal speed of the calibration.
        seeds: Number of seeds.
        n_validations: Validations of a run, evenly spaced; the last at its end.
        threads: Threads of every process.
        accelerator: Lightning's name of it.
        rounds: Rounds of the calibration.
        slice: Seconds of a contestant in a round.
        rates: Learning rates to be tried by all; ``None``: by each contestant those that it names.
        nominal: Seconds of a step of the first contestant on an idle machine; those of its fastest round unless given.
        jobs: Runs at the same time.
    """

    folder: Path
    contestants: tuple[Path, ...]
    set_file: Path
    data: Path
    budget: float = 300.0
    seeds: int = 3
    n_validations: int = 6
    threads: int = 2
    accelerator: str = "cpu"
    rounds: int = 5
    slice: float = 10.0
    rates: Sequence[float] | None = None
    nominal: float | None = None
    jobs: int = 1

    def prepare(self) -> list[Entrant]:
        """Write the configurations of the race; return its contestants.

        Raises:
            ValueError: if the folder holds a race with other settings, or a contestant has changed since.
        """
        kept = self.settings
        entrants = [self._entrant(path) for path in self.contestants]
        settings = {"name": self.set_file.stem, "set": read_config(self.set_file), "budget": self.budget}
        settings |= {"n_validations": self.n_validations, "accelerator": self.accelerator}
        for name, value in settings.items():
            if kept.get(name, value) != value:
                raise ValueError(
                    f"{self.folder} holds a race whose {name} is {kept[name]!r}, not {value!r}: choose another folder "
                    "with --out"
                )
        settings |= {"seeds": self.seeds, "threads": self.threads, "rounds": self.rounds, "slice": self.slice}
        settings["nominal"] = self.nominal
        settings["entrants"] = {**kept.get("entrants", {}), **{one.name: asdict(one) for one in entrants}}
        options = {
            "trainer": {"accelerator": self.accelerator},
            "data": {"init_args": {"base_path": str(self.data.absolute())}},
        }
        write_json(self.folder / SETTINGS, settings)
        write_yaml(self.folder / "set.yaml", settings["set"])
        write_yaml(self.folder / "options.yaml", options)
        return entrants

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the race in the folder, with all contestants so far; nothing if there is none."""
        return read_json(self.folder / SETTINGS)

    @property
    def entrants(self) -> list[Entrant]:
        """All contestants of the race in the folder so far."""
        kept = self.settings.get("entrants", {}).values()
        return [Entrant(one["name"], tuple(one["rates"]), one["is_trained"]) for one in kept]

    def _entrant(self, path: Path) -> Entrant:
        config = read_config(path)
        own = config.pop("race", {})
        if unknown := set(own) - {"learning_rates", "is_trained"}:
            raise ValueError(f"{path}: race has the entries {sorted(unknown)}, expected learning_rates, is_trained")
        copy = self.folder / "contestants" / f"{path.stem}.yaml"
        if copy.is_file() and yaml.safe_load(copy.read_text()) != config:
            self._forget_cost(path)
        write_yaml(copy, config)
        if not own.get("is_trained", True):
            return Entrant(path.stem, (0.0,), is_trained=False)
        return Entrant(path.stem, tuple(map(float, self.rates or own.get("learning_rates", RATES))))

    def _forget_cost(self, path: Path) -> None:
        """Let a contestant that has changed be measured again.

        Raises:
            ValueError: if it has runs already, or the others were measured beside it.
        """
        known = read_json(self.folder / calibration.FILE)
        runs = self.folder / "runs" / path.stem
        if runs.exists() or known.get("reference") == path.stem:
            raise ValueError(f"{path} has changed since its part in {self.folder}: give it another name")
        for part in ("costs", "rounds", "errors"):
            known.get(part, {}).pop(path.stem, None)
        if known:
            write_json(self.folder / calibration.FILE, known)

    def calibrate(self, entrants: Sequence[Entrant]) -> None:
        """Measure the contestants that have not been measured yet, beside the reference."""
        known = read_json(self.folder / calibration.FILE)
        measured = {*known.get("costs", {}), *known.get("errors", {})}
        new = [entrant.name for entrant in entrants if entrant.is_trained and entrant.name not in measured]
        if not new:
            return
        names = [known["reference"], *new] if known else new
        logger.info("measuring the steps of %s", ", ".join(names))
        log = self.folder / "calibration.log"
        if self._process(log, "tests.race.calibration", str(self.folder), *names).wait():
            raise RuntimeError(f"the calibration failed: {last_line(log)}; all of it is in {log}")
        known = read_json(self.folder / calibration.FILE)
        for name in known["costs"]:
            logger.info("  %-20s %.4g s a step, nominally", name, seconds_per_step(known, name))
        for name, error in known.get("errors", {}).items():
            logger.info("  %-20s cannot take part: %s", name, error)

    def running(self, entrants: Sequence[Entrant]) -> list[Entrant]:
        """Return the contestants that could be measured, or need not be."""
        costs = read_json(self.folder / calibration.FILE).get("costs", {})
        return [entrant for entrant in entrants if not entrant.is_trained or entrant.name in costs]

    def run(self, entrants: Sequence[Entrant]) -> None:
        """Make all runs that are not done yet, in turns."""
        n_runs = sum(len(one.rates) + self.seeds - 1 for one in entrants if one.is_trained)
        logger.info("%d runs of %g s of training each, without those that are done", n_runs, self.budget)
        trained = {one.name: one.is_trained for one in entrants}
        running: dict[subprocess.Popen[bytes], Run] = {}
        try:
            while True:
                while len(running) < self.jobs:
                    run = next_run(entrants, self.scores(), range(self.seeds), frozenset(running.values()))
                    if run is None:
                        break
                    logger.info("%s", run)
                    running[self.start(run, is_trained=trained[run.contestant])] = run
                if not running:
                    return
                ended = [process for process in running if process.poll() is not None]
                for process in ended:
                    self.record(running.pop(process), process.returncode)
                if not ended:
                    time.sleep(0.2)
        finally:
            for process in running:
                process.terminate()
                process.wait()

    def start(self, run: Run, *, is_trained: bool) -> subprocess.Popen[bytes]:
        """Start one run in a process of its own."""
        folder = self.folder / run.folder
        settings = {"contestant": run.contestant, "rate": run.rate, "seed": run.seed, "is_trained": is_trained}
        settings |= {"race": "../../..", "threads": self.threads, "n_validations": self.n_validations}
        if is_trained:
            seconds = seconds_per_step(read_json(self.folder / calibration.FILE), run.contestant)
            settings |= {"steps": n_steps(self.budget, seconds, self.n_validations), "seconds_per_step": seconds}
        write_json(folder / "run.json", settings)
        return self._process(folder / "log.txt", "tests.race.training", str(folder))

    def record(self, run: Run, code: int) -> None:
        """Log how a run has ended; a failure is kept."""
        folder = self.folder / run.folder
        log = folder / "log.txt"
        results = read_json(folder / RESULTS)
        if results:
            logger.info("%s: score %.4g after %.0f s", run, results["score"], results["seconds"])
        else:
            error = f"killed by signal {-code}" if code < 0 else last_line(log)
            write_json(folder / FAILED, {"error": error, "code": code})
            logger.info("%s failed: %s; all of it is in %s", run, error, log)

    def scores(self) -> dict[Run, float]:
        """Return the validation error of each run that has ended, infinite for one that failed."""
        results = [*self.results(), *self.failures()]
        return {Run(one["contestant"], one["rate"], one["seed"]): one.get("score", math.inf) for one in results}

    def results(self) -> list[dict[str, Any]]:
        """Return the results of all runs that are done."""
        return [read_json(path) for path in sorted(self.folder.glob(f"runs/*/*/{RESULTS}"))]

    def failures(self) -> list[dict[str, Any]]:
        """Return the settings and the error of all runs that failed."""
        paths = sorted(self.folder.glob(f"runs/*/*/{FAILED}"))
        failed = [path for path in paths if not path.with_name(RESULTS).is_file()]
        return [{**read_json(path.with_name("run.json")), **read_json(path)} for path in failed]

    def forget_failures(self) -> None:
        """Let failed runs be made again, from their last checkpoint, and contestants that could not be measured."""
        for path in self.folder.glob(f"runs/*/*/{FAILED}"):
            path.unlink()
        known = read_json(self.folder / calibration.FILE)
        if known.pop("errors", {}):
            write_json(self.folder / calibration.FILE, known)

    def _process(self, log: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", module, *arguments]
        with log.open("a") as file:
            environment = set_threads(self.threads)
            return subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=HERE.parents[1]
            )


def n_steps(budget: float, seconds: float, n_validations: int) -> int:
    """Return the optimizer steps of a run: a multiple of the number of validations, so that the last is at its end."""
    return n_validations * max(1, math.floor(budget / seconds / n_validations))


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a configuration, unless the file holds it already: a training may be reading it."""
    text = yaml.safe_dump(content, sort_keys=False)
    if not path.is_file() or path.read_text() != text:
        with atomic_file(path) as temporary:
            temporary.write_text(text)


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
