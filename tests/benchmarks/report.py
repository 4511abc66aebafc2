"""Results as JSON, as a Markdown table and as one line a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.environment import summary
from tests.benchmarks.harness import Measurement, Row, Series, quartiles

SYMBOLS = {"at least": "≥", "at most": "≤"}


def measured(row: Row, measurement: Measurement, environment: dict) -> dict[str, Any]:
    """Return the record of a measured row."""
    return _described(row, environment) | {
        "ratio": measurement.ratio,
        "ratios": list(measurement.ratios),
        "reached": row.is_reached(measurement.ratio),
        "ours": _series(measurement.ours),
        "peer": None if measurement.peer is None else _series(measurement.peer),
        "others": [_series(one) for one in measurement.others],
        "notes": list(measurement.notes),
    }


def failed(row: Row, reason: str, environment: dict) -> dict[str, Any]:
    """Return the record of a row without a measurement."""
    return _described(row, environment) | {"failure": reason}


def line(record: Mapping[str, Any]) -> str:
    """Return ``BENCH <name> <ratio> <target> ok|short``, or the reason why there is no ratio."""
    name, target = record["name"], f"{record['target']:g}"
    if "failure" in record:
        return f"BENCH {name} - {target} {record['failure'].splitlines()[0]}"
    return f"BENCH {name} {record['ratio']:.3g} {target} {'ok' if record['reached'] else 'short'}"


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown table, with notes, hardware and versions below it."""
    lines = [
        "| row | what | ours | peer | ratio (quartiles) | target | |",
        "|---|---|---|---|---|---|---|",
        *(_table_line(record) for record in records),
        "",
    ]
    for record in records:
        details = [f"{_figure(one)}" for one in record.get("others", [])] + record.get("notes", [])
        if details:
            lines.append(f"- `{record['name']}`: {'; '.join(details)}.")
    for environment in dict.fromkeys(summary(record["environment"]) for record in records):
        lines += ["", f"Measured on {environment}."]
    return "\n".join(lines)


def write_json(path: Path, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the records; replace an older file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(records, indent=1) + "\n")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, dict[str, Any]]:
    """Read the records of :func:`write_json`; none if there is no such file."""
    return json.loads(path.read_text()) if path.is_file() else {}


def put_between(path: Path, marker: str, content: str) -> None:
    """Replace the text between the comments ``marker`` and ``end of marker``, and keep the text around them.

    Raises:
        ValueError: if the file has only one of the comments.
    """
    begin, end = f"<!-- {marker} -->", f"<!-- end of {marker} -->"
    text = path.read_text() if path.is_file() else "# Benchmarks\n"
    if (begin in text) != (end in text):
        raise ValueError(f"{path} has only one of the comments {begin!r} and {end!r}: put the other one back")
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{begin}\n{content}\n{end}{after}")


def _described(row: Row, environment: dict) -> dict[str, Any]:
    return {
        "name": row.name,
        "what": row.what,
        "target": row.target,
        "bound": row.bound,
        "environment": environment,
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "contestant": series.contestant,
        "unit": series.unit,
        "median": series.median,
        "quartiles": list(series.quartiles),
        "values": list(series.values),
    }


def _table_line(record: Mapping[str, Any]) -> str:
    target = f"{SYMBOLS[record['bound']]} {record['target']:g}"
    head = f"| `{record['name']}` | {record['what']} |"
    if "failure" in record:
        return f"{head} | | {record['failure'].splitlines()[0]} | {target} | |"
    first, third = quartiles(record["ratios"])
    peer = "" if record["peer"] is None else _figure(record["peer"])
    ratio = f"**{record['ratio']:.3g}** ({first:.3g} to {third:.3g})"
    return (
        f"{head} {_figure(record['ours'])} | {peer} | {ratio} | {target} | {'ok' if record['reached'] else 'short'} |"
    )


def _figure(series: Mapping[str, Any]) -> str:
    return f"{series['contestant']}: {series['median']:.3g} {series['unit']}"
