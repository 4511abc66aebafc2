"""Errors of the FNO of the race with AdamW, Muon and SOAP, each trained for the same time.

    python -m tests.benchmarks.optimizers [--set shear_flow] [--budget 300] [--status]

Options and rules are those of ``python -m tests.race``: three learning rates with the first seed, the best one with two
other seeds. Everything is kept in ``runs/optimizers/<set>``, and the same command goes on where it was ended. SOAP
needs ``pip install --no-deps heavyball opt_einsum``; without it the report says that it is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.race.__main__ import main as race
from tests.race.session import HERE

CONTESTANTS = ("fno", *(str(HERE / "ablations" / f"with_{name}.yaml") for name in ("muon", "soap")))


def arguments(given: list[str]) -> list[str]:
    """Return the arguments of the race: what is given, with the contestants and a folder of their own unless named."""
    options = [*given]
    if "--contestants" not in given:
        options += ["--contestants", *CONTESTANTS]
    if "--out" not in given:
        name = given[given.index("--set") + 1] if "--set" in given else "tiny" if "--quick" in given else "trl2d"
        options += ["--out", f"runs/optimizers/{Path(name).stem}"]
    return options


if __name__ == "__main__":
    sys.argv[1:] = arguments(sys.argv[1:])
    sys.exit(race())
