"""Every row, and the loop over them."""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import logging
import math
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.environment import environment
from tests.benchmarks.harness import Benchmark, Settings
from tests.benchmarks.report import failed, line, measured, put_between, read_json, table, write_json
from tests.benchmarks.rows import (
    cost_curves,
    euler,
    fno_3d,
    fno_steps,
    full_epoch,
    hpc_steps,
    lightning_overhead,
    loading,
    memory,
    resident,
    rollouts,
    small_1d,
    tfno_steps,
    training_1d,
)

logger = logging.getLogger(__name__)

CPU = (  # those that compile little come first, so that a slow machine leaves out as few rows as possible
    loading.BENCHMARK,
    memory.BENCHMARK,
    resident.BENCHMARK,
    lightning_overhead.BENCHMARK,
    rollouts.BENCHMARK,
    fno_steps.BENCHMARK,
    tfno_steps.BENCHMARK,
    training_1d.BENCHMARK,
    *fno_3d.BENCHMARKS,
)
GPU = (
    hpc_steps.BENCHMARK,
    small_1d.BENCHMARK,
    full_epoch.BENCHMARK,
    euler.BENCHMARK,
    memory.BENCHMARK,
    rollouts.BENCHMARK,
)


def run(
    suite: Sequence[Benchmark], settings: Settings, names: Sequence[str], out: Path, kind: str, limit: float
) -> int:
    """Measure rows, write the results after each, and log a line for each; return 1 if a row failed.

    Args:
        suite: The benchmarks.
        settings: Settings of the run.
        names: Rows to be measured.
        out: Folder of the results.
        kind: Distinguishes the results of different devices.
        limit: Seconds after which nothing new is begun.
    """
    deadline = time.perf_counter() + limit
    path = out / f"benchmarks-{kind}.json"
    results = read_json(path)
    rows = results.setdefault("rows", {})
    record = environment(settings.device)
    done: list[str] = []
    for benchmark in suite:
        wanted = [row.name for row in benchmark.rows if row.name in names]
        if not wanted:
            continue
        begin = time.perf_counter()
        logger.info("%s", ", ".join(wanted))
        if begin > deadline:
            measured_now = {row.name: failed(row, "skipped: the time was up", record) for row in benchmark.rows}
        else:
            deadline_of_rows = begin + benchmark.seconds if settings.quick else math.inf
            measured_now = attempt(benchmark, dataclasses.replace(settings, deadline=deadline_of_rows), record)
        rows |= {name: measured_now[name] for name in wanted}
        done += wanted
        write_json(path, results)
        logger.info("  done after %.0f s", time.perf_counter() - begin)
        _clean_up(settings.device)
    if cost_curves.NAME in names:
        results[cost_curves.NAME] = cost_curves.measure(settings, deadline) | {"environment": record}
        write_json(path, results)
        cost_curves.draw(results[cost_curves.NAME], out / f"benchmarks-{kind}.png")
    order = [row.name for benchmark in suite for row in benchmark.rows]
    content = [table([rows[name] for name in order if name in rows])]
    if cost_curves.NAME in results:
        content.append(cost_curves.caption(results[cost_curves.NAME], f"benchmarks-{kind}.png"))
    put_between(out / "benchmarks.md", f"{kind} table", "\n\n".join(content))
    logger.info("\n".join(line(rows[name]) for name in done))
    return int(any(rows[name].get("failure", "").startswith("failed") for name in done))


def attempt(benchmark: Benchmark, settings: Settings, record: dict) -> Mapping[str, dict[str, Any]]:
    """Return the records of the rows of a benchmark; one whose peer is missing or that crashes has the reason."""
    missing = [peer for peer in benchmark.peers if importlib.util.find_spec(peer) is None]
    if missing:
        reason = f"skipped: {', '.join(missing)} not installed"
        logger.info("  %s", reason)
        return {row.name: failed(row, reason, record) for row in benchmark.rows}
    try:
        results = benchmark.measure(settings)
    except Exception as error:
        logger.info("%s", traceback.format_exc())
        reason = f"failed: {type(error).__name__}: {error}"
        return {row.name: failed(row, reason, record) for row in benchmark.rows}
    return {
        row.name: measured(row, results[row.name], record)
        if row.name in results
        else failed(row, "skipped: its peer cannot run here", record)
        for row in benchmark.rows
    }


def _clean_up(device: torch.device) -> None:
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
