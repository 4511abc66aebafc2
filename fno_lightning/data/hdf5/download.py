"""Downloads data sets of The Well."""

from __future__ import annotations

import logging
from pathlib import Path

import yaml

from fno_lightning.data.hdf5.entry import WellFormatError
from fno_lightning.data.hdf5.metadata import read_well_file
from fno_lightning.pdes import TurbulentRadiativeLayer2D

logger = logging.getLogger(__name__)


def download_well(base_path: Path, dataset_name: str) -> None:
    """Downloads what is missing of a data set to ``<base_path>/datasets/<dataset_name>``; resumes what was cut off.

    Args:
        base_path: Where the_well's own downloader makes its folder ``datasets``.
        dataset_name: A data set of The Well.

    Raises:
        ValueError: if The Well has no such data set.
        ConnectionError: if a file is still missing or incomplete afterwards.
    """
    from the_well.utils import download  # late: it imports packages that nothing else here needs

    registry = yaml.safe_load(Path(download.WELL_REGISTRY).read_text())
    if dataset_name not in registry:
        raise ValueError(f"The Well has no data set '{dataset_name}' to download, only {', '.join(sorted(registry))}")
    folder = base_path / "datasets" / dataset_name
    urls = {split: registry[dataset_name][split] for split in ("train", "valid", "test")}
    files = {folder / "data" / split / Path(url).name: url for split in urls for url in urls[split]}
    if not _incomplete(files):
        return
    logger.info("downloading %s to %s: %d files", dataset_name, folder, len(files))
    failure = "without a report of an error"
    try:
        download.well_download(str(base_path), dataset_name)
    except OSError as error:
        failure = f"with the error: {error}"
    if missing := _incomplete(files):
        raise ConnectionError(
            f"the download of {dataset_name} ended {failure}, and {len(missing)} of {len(files)} files are still "
            f"missing or incomplete, the first from {files[missing[0]]}: run the same command again to resume"
            f"{_stand_in(dataset_name)}"
        )


def _stand_in(dataset_name: str) -> str:
    """How to simulate instead, for the data set that this package has an equation of."""
    if dataset_name != TurbulentRadiativeLayer2D.dataset_name:
        return ""
    return (
        ", or simulate a stand-in with `python -m fno_lightning fit --config configs/trl2d.yaml "
        "--data.init_args.source simulate`"
    )


def _incomplete(files: dict[Path, str]) -> list[Path]:
    return [path for path in files if not _is_complete(path)]


def _is_complete(path: Path) -> bool:
    try:
        read_well_file(path)
    except (OSError, WellFormatError):
        return False
    return True
