"""Trainer, module and data of a configuration, without running anything."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fno_lightning.cli import FNOCLI, prepare_process
from fno_lightning.data import FieldDataModule
from fno_lightning.files import atomic_file
from fno_lightning.modules import ForecastModule
from fno_lightning.parser import Parser

HERE = Path(__file__).parent


def session(*configs: Path, options: Sequence[str] = ()) -> FNOCLI:
    """Return trainer, module and data of configurations that are merged in their order.

    Args:
        configs: Files.
        options: Further options as on the command line.
    """
    prepare_process()
    sys.argv[1:] = []  # they are not those of Lightning's command line
    arguments = [text for path in configs for text in ("--config", str(path))]
    return FNOCLI(
        ForecastModule,
        FieldDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=None,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_class=Parser,
        run=False,
        args=[*arguments, *options],
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a file; nothing if there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that is complete or absent."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def set_threads(n_threads: int) -> dict[str, str]:
    """Return the environment of a process with this number of threads that imports what this one does.

    Its threads sleep while they wait for each other: one that spins takes the core that the other waits for, where
    other programs run, and a step then lasts many times as long.
    """
    root = str(HERE.parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(n_threads))
    return {**os.environ, **threads, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": os.pathsep.join(paths)}
