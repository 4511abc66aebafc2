"""Kill small trainings at random moments, resume them, and compare them with trainings that were not killed.

    python -m tests.faults [--kills N] [--seed S] [--kinds KIND ...] [--out DIR]

Results go to ``DIR/results.jsonl``, one a line, as they come; a further run with the same options goes on after them.
The last lines are a table: kills by kind, how many trainings then ran to their end, and how many of those took the same
steps with the same losses, bit by bit, and ended with the same checkpoint. The exit status is 1 if any did not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.faults.case import KINDS, Reference, Result, run_case
from tests.faults.training import VARIANTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="number of trainings that are killed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="what they do then")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"), help="folder of the results")
    options = parser.parse_args()
    results = run(options.kills, options.seed, options.kinds, options.out)
    print(table(results))
    return 0 if all(result.killed and result.same for result in results) else 1


def run(n_kills: int, seed: int, kinds: list[str], out: Path) -> list[Result]:
    """Return the results of so many kills, of each kind in turn; those that are on disk are not made again."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    known = {(line["seed"], line["number"], line["kind"]): line for line in map(json.loads, lines)}
    references: dict[str, Reference] = {}
    results = []
    for number in range(n_kills):
        kind = kinds[number % len(kinds)]
        if (line := known.get((seed, number, kind))) is not None:
            results.append(Result(**{key: value for key, value in line.items() if key not in ("seed", "seconds")}))
            continue
        variant = Random(f"{seed} {number}").choice(list(VARIANTS))
        begin = time.monotonic()
        name = f"{variant} {kind}" if kind == "command line" else variant
        if name not in references:
            folder = out / f"reference {name}".replace(" ", "-")
            references[name] = Reference(folder, variant, by_command_line=kind == "command line")
        result = run_case(number, kind, references[name], out / f"killed-{number}", seed)
        results.append(result)
        with file.open("a") as stream:
            seconds = round(time.monotonic() - begin, 1)
            stream.write(json.dumps({"seed": seed, "seconds": seconds, **asdict(result)}) + "\n")
    return results


def table(results: list[Result]) -> str:
    """Return a table of the kills by kind, in Markdown, and the differences below it."""
    lines = [
        "| killed during | kills | in the phase still | damaged checkpoints met | resumed | the same to the bit |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in [*dict.fromkeys(result.kind for result in results), "all"]:
        of_kind = [result for result in results if kind in ("all", result.kind) and result.killed]
        counts = [len(of_kind)] + [
            sum(bool(getattr(result, name)) for result in of_kind) for name in ("inside", "warning", "resumed", "same")
        ]
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} |")
    lines += [
        f"{one.number} ({one.kind}, {one.variant}): {'; '.join(one.differences)}" for one in results if not one.same
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
