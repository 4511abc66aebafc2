"""``fno-lightning generate``: simulate the data of a configuration without training."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import fno_lightning.pdes  # noqa: F401 (short names of equations)
from fno_lightning.config_files import ConfigFile
from fno_lightning.data import FieldDataModule, MixedDataModule, WellDataModule
from fno_lightning.parser import Parser

logger = logging.getLogger(__name__)


def main(args: Sequence[str]) -> int:
    """Prepare the data of a configuration, statistics included, and log where they are.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: if the data are simulated while training, and nothing is stored.
    """
    data: FieldDataModule = _parser().instantiate_classes(_parser().parse_args(list(args))).data
    stored = list(_stored(data))
    if not stored:
        raise ValueError(f"{type(data).__name__} stores nothing: its samples are made while training")
    for part in stored:
        part.prepare_data()
        part.setup("fit")
        logger.info(
            "%s: %s; to check the files: python -m fno_lightning check %s", part.spec.dataset_name, part.root, part.root
        )
    return 0


def _stored(data: FieldDataModule) -> Iterator[WellDataModule]:
    """Yield the data modules of the data sets on disk."""
    if isinstance(data, WellDataModule):
        yield data
    elif isinstance(data, MixedDataModule):
        for member in data.members.values():
            yield from _stored(member)


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning generate",
        description="Simulate the data of a configuration without training, e.g. generate --config darcy "
        "--data.init_args.n_train 32768 --data.init_args.n_processes 8",
    )
    parser.add_argument("--config", action=ConfigFile, help="a configuration, as for fit")
    parser.add_subclass_arguments(FieldDataModule, "data", required=True)
    for other in ("trainer", "model", "seed_everything", "ckpt_path"):
        parser.add_argument(f"--{other}", type=Any, default=None, help="not used, may be in the configuration")
    return parser
