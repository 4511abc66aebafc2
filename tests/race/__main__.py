"""Train contestants at equal wall-clock on the same files, and compare their forecasts.

    python -m tests.race [--set trl2d] [--budget 300] [--contestants NAME ...] [--status]
    python -m tests.race --contestants fno tests/race/ablations/*.yaml --learning_rates 0.01

Sets and contestants are configurations in ``tests/race/sets`` and ``tests/race/contestants``, or paths of others.
Everything is kept in ``runs/race/<set>``: what is done is not done again, and a training that was killed goes on from
its last validation. ``race.md`` and the pictures there show the results so far.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from tests.race.plan import Entrant
from tests.race.race import RATES, Race
from tests.race.report import report
from tests.race.session import HERE, read_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", help="data set: a name in tests/race/sets, or a YAML file; trl2d unless given")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="all in tests/race/contestants unless given")
    parser.add_argument(
        "--budget",
        type=float,
        help="seconds of training of a run; unless given those of the race in the folder, or 300",
    )
    parser.add_argument("--seeds", type=int, help="number of seeds, 3 unless given")
    parser.add_argument(
        "--learning_rates", type=float, nargs="+", metavar="RATE", help="to try; those of each contestant unless given"
    )
    parser.add_argument("--data", type=Path, default=Path("datasets"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, help="folder of the race, runs/race/<set> unless given")
    parser.add_argument("--nominal", type=float, metavar="SECONDS", help="of a step of the first contestant, if known")
    parser.add_argument("--threads", type=int, default=2, help="threads of a training")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time, each with its own threads")
    parser.add_argument("--accelerator", default="cpu", help="as Lightning names it, e.g. gpu")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps on a tiny set, to see whether everything runs"
    )
    parser.add_argument("--retry", action="store_true", help="make runs that failed again")
    parser.add_argument("--status", action="store_true", help="show what is done and the table so far, run nothing")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout, level=logging.WARNING)
    logging.getLogger("tests.race").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated; the same command goes on"))  # ends the training too
    try:
        race = make_race(options)
        if options.status:
            if not race.settings:
                raise ValueError(f"there is no race in {race.folder}: --set and --out choose another one")
            print(report(race, race.entrants))
            return 0
        entrants = race.prepare()
        run(race, entrants, retry=options.retry)
        print(report(race, race.entrants))
    except (ValueError, RuntimeError) as error:
        sys.exit(f"race: {error}")
    return 0


def make_race(options: argparse.Namespace) -> Race:
    """Return the race that the options describe."""
    set_file = found(options.set or ("tiny" if options.quick else "trl2d"), "sets")
    names = options.contestants or sorted(path.stem for path in (HERE / "contestants").glob("*.yaml"))
    small = {"rounds": 1, "slice": 0.5, "n_validations": 2} if options.quick else {}
    folder = options.out or Path("runs/race") / f"{set_file.stem}{'-quick' if options.quick else ''}"
    kept = read_json(folder / "race.json")
    return Race(
        folder=folder,
        contestants=tuple(found(name, "contestants") for name in names),
        set_file=set_file,
        data=options.data,
        budget=options.budget or kept.get("budget") or (2.0 if options.quick else 300.0),
        seeds=options.seeds or (2 if options.quick else 3),
        rates=options.learning_rates or (RATES[:1] if options.quick else None),
        threads=options.threads,
        accelerator=options.accelerator,
        nominal=options.nominal,
        jobs=options.jobs,
        **small,
    )


def found(name: str, folder: str) -> Path:
    """Return the path of a configuration: a file, or one of this name in a folder of the race.

    Raises:
        ValueError: if there is neither.
    """
    own = HERE / folder / f"{name}.yaml"
    path = own if own.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in own.parent.glob("*.yaml")))
        raise ValueError(f"there is no {name}, neither a file nor in {own.parent}, which has {known}")
    return path


def run(race: Race, entrants: list[Entrant], *, retry: bool) -> None:
    """Make the runs, unless another process does."""
    try:
        with FileLock(race.folder / ".lock", timeout=0):
            if retry:
                race.forget_failures()
            race.calibrate(entrants)
            race.run(race.running(entrants))
    except Timeout:
        raise RuntimeError(f"another process runs the race in {race.folder}; --status shows what is done") from None


if __name__ == "__main__":
    sys.exit(main())
