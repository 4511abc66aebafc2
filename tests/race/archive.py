"""A race as one file: what it was measured with, and the results of its runs.

    python -m tests.race.archive pack runs/race/trl2d docs/race-trl2d.json
    python -m tests.race.archive unpack docs/race-trl2d.json runs/race/trl2d

An unpacked race goes on where it stopped, on this machine or another: each run has the steps of the first calibration.
Checkpoints are not in the file. Numbers are rounded to five digits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fno_lightning.files import atomic_file
from tests.race import calibration
from tests.race.race import SETTINGS
from tests.race.session import read_json, write_json
from tests.race.training import RESULTS

DIGITS = 5


def pack(folder: Path, file: Path) -> None:
    """Write a race to a file.

    Raises:
        ValueError: if there is none in the folder.
    """
    settings = read_json(folder / SETTINGS)
    if not settings:
        raise ValueError(f"there is no race in {folder}")
    results = {
        str(path.parent.relative_to(folder)): read_json(path) for path in sorted(folder.glob(f"runs/*/*/{RESULTS}"))
    }
    content = {"settings": settings, "calibration": read_json(folder / calibration.FILE), "results": results}
    with atomic_file(file) as temporary:
        temporary.write_text(json.dumps(rounded(content), separators=(",", ":")) + "\n")


def unpack(file: Path, folder: Path) -> None:
    """Write a race to a folder that has none; the results of runs that are there stay.

    Raises:
        ValueError: if the folder holds another race.
    """
    content = json.loads(file.read_text())
    kept = read_json(folder / SETTINGS)
    if kept and kept["set"] != content["settings"]["set"]:
        raise ValueError(f"{folder} holds a race of another set")
    write_json(folder / SETTINGS, kept or content["settings"])
    write_json(folder / calibration.FILE, content["calibration"])
    for name, results in content["results"].items():
        if not (folder / name / RESULTS).is_file():
            write_json(folder / name / RESULTS, results)


def rounded(content: Any) -> Any:
    """Return plain values with rounded numbers."""
    if isinstance(content, dict):
        return {name: rounded(value) for name, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    return float(f"{content:.{DIGITS}g}") if isinstance(content, float) else content


def main() -> None:
    commands = {"pack": pack, "unpack": unpack}
    if len(sys.argv) != 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    try:
        commands[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    except (OSError, ValueError) as error:
        sys.exit(f"race: {error}")


if __name__ == "__main__":
    main()
