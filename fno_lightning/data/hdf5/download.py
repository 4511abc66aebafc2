"""Download data sets of The Well."""

from __future__ import annotations

import logging
from pathlib import Path
from types import ModuleType

import yaml

from fno_lightning.data.hdf5.entry import UnreadableError, WellFormatError
from fno_lightning.data.hdf5.metadata import read_well_file

logger = logging.getLogger(__name__)


def download_well(base_path: Path, dataset_name: str, alternative: str = "") -> None:
    """Download the missing files of a data set to ``<base_path>/datasets/<dataset_name>``; resume incomplete ones.

    Args:
        base_path: Folder in which the_well's own downloader makes ``datasets``.
        dataset_name: A data set of The Well.
        alternative: Another way to have such data, for the message of a failed download, e.g. "or simulate them".

    Raises:
        ImportError: if the_well, whose downloader this is, is not installed.
        ValueError: if The Well has no such data set.
        UnreadableError: if a file that is there cannot be read at present.
        ConnectionError: if a file is still missing or incomplete afterwards.
    """
    downloader = _downloader(base_path / dataset_name)
    registry = yaml.safe_load(Path(downloader.WELL_REGISTRY).read_text())
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
        downloader.well_download(str(base_path), dataset_name)
    except OSError as error:
        failure = f"with the error: {error}"
    if missing := _incomplete(files):
        raise ConnectionError(
            f"the download of {dataset_name} ended {failure}, and {len(missing)} of {len(files)} files are still "
            f"missing or incomplete, the first from {files[missing[0]]}: run the same command again to resume"
            f"{alternative and ', '}{alternative}"
        )


def _downloader(folder: Path) -> ModuleType:
    """Return the_well's module of downloads, which is imported here only: it asks for old versions of packages."""
    try:
        from the_well.utils import download
    except ImportError as error:
        raise ImportError(
            f"the_well, which downloads data sets of The Well, cannot be imported ({error}): install it with `pip "
            f"install the_well`, or place the files by hand in {folder}/data/train, {folder}/data/valid and "
            f"{folder}/data/test"
        ) from error
    module: ModuleType = download
    return module


def _incomplete(files: dict[Path, str]) -> list[Path]:
    return [path for path in files if not _is_complete(path)]


def _is_complete(path: Path) -> bool:
    try:
        read_well_file(path)
    except UnreadableError:  # in use, locked, forbidden: another download does not help
        raise
    except (OSError, WellFormatError):
        return False
    return True
