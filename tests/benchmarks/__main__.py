"""Measure this package beside its peers.

    python -m tests.benchmarks [--quick] [--gpu] [--rows NAME ...] [--out DIR]

Results go to ``DIR/benchmarks.md`` and ``DIR/benchmarks-cpu.json`` (or ``-gpu``), those of rows that are not measured
now stay. The last lines are ``BENCH <name> <ratio> <target> ok|short``, one a row.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of the GPU's memory at once
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would write two lines for every use

import torch

from tests.benchmarks.harness import Settings
from tests.benchmarks.rows import cost_curves
from tests.benchmarks.suite import CPU, GPU, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, only to see whether everything runs")
    parser.add_argument("--gpu", action="store_true", help="the rows of the GPU; with --tiny also without one")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--limit", type=float, default=14, help="minutes after which no row is begun")
    parser.add_argument("--out", type=Path, help="docs unless given, runs/benchmarks where quick or tiny")
    options = parser.parse_args()
    if options.gpu and not options.tiny and not torch.cuda.is_available():
        parser.error("--gpu needs a CUDA device, and torch sees none")
    device = torch.device("cuda" if options.gpu and torch.cuda.is_available() else "cpu")
    suite = GPU if options.gpu else CPU
    known = [row.name for benchmark in suite for row in benchmark.rows]
    if not options.quick:
        known.append(cost_curves.NAME)
    if unknown := set(options.rows or ()) - set(known):
        parser.error(f"no rows {sorted(unknown)}, there are {', '.join(known)}")
    warnings.simplefilter("ignore")
    logging.basicConfig(format="%(message)s", stream=sys.stdout, level=logging.WARNING)
    logging.getLogger("tests.benchmarks").setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    settings = Settings(options.quick, options.tiny, device)
    is_draft = options.quick or options.tiny
    out = options.out or Path("runs/benchmarks" if is_draft else "docs")
    return run(suite, settings, options.rows or known, out, "gpu" if options.gpu else "cpu", 60 * options.limit)


if __name__ == "__main__":
    sys.exit(main())
