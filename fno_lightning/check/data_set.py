"""Check a data set: its splits, the agreement of its files, its statistics."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fno_lightning.check.file import check_file
from fno_lightning.check.meshes import check_meshes, mesh_files
from fno_lightning.check.report import Issue, Severity
from fno_lightning.check.statistics import check_statistics
from fno_lightning.data.hdf5 import WellField, WellFile, WellFormatError, read_well_file, split_files
from fno_lightning.data.hdf5.agreement import INTERVAL, Difference, differences
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.opening import open_hdf5
from fno_lightning.progress import part_of, progress_bar


def check(paths: Sequence[str | Path]) -> list[Issue]:
    """Check files and data sets, and return all issues.

    Args:
        paths: Files in The Well's format, folders of such files, and folders of data sets, which hold
            ``data/train``, ``data/valid`` and ``data/test``; files of meshes, and folders that hold some.

    Raises:
        FileNotFoundError: if there is no such path, or a folder holds neither files nor a data set.
    """
    issues: list[Issue] = []
    for path in map(Path, paths):
        if is_data_set(path):
            issues += check_data_set(path)
        elif meshes := mesh_files(path):
            issues += check_meshes(meshes)
        elif path.is_dir():
            found, files = check_files(split_files(path))
            issues += [*found, *check_agreement(files), *check_duplicates({path.name: files})]
        else:
            issues += check_files([path])[0]
    return list(dict.fromkeys(issues))


def files_at(path: str | Path) -> list[Path]:
    """Return the files that :func:`check` reads for a path.

    Raises:
        FileNotFoundError: if there is no such path, or a folder holds neither files nor a data set.
    """
    path = Path(path)
    if is_data_set(path):
        return [file for files in split_paths(path).values() for file in files]
    if meshes := mesh_files(path):
        return meshes
    if path.is_dir():
        return split_files(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}, expected a file in The Well's format or a folder of such files")
    return [path]


SPLITS: dict[str, Severity] = {"train": "error", "valid": "error", "test": "warning"}
"""The splits of a data set, and the severity of lacking one."""


def check_data_set(folder: str | Path) -> list[Issue]:
    """Check all files of a data set, their agreement, repeated trajectories, and the statistics.

    Args:
        folder: The folder that holds ``data/train``, ``data/valid``, ``data/test`` and ``stats.yaml``.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}, expected one that holds data/train and data/valid")
    paths = split_paths(folder)
    issues = [_missing(folder, split) for split, files in paths.items() if not files]
    found, files = check_files([path for files in paths.values() for path in files])
    by_split = {split: [file for file in files if file.path in paths[split]] for split in paths}
    issues += [*found, *check_agreement(files), *check_duplicates(by_split)]
    if by_split["train"]:
        is_complete = len(by_split["train"]) == len(paths["train"])
        issues += check_statistics(folder / "stats.yaml", by_split["train"], compare=is_complete)
    return issues


def check_files(paths: Sequence[Path]) -> tuple[list[Issue], list[WellFile]]:
    """Check files one by one; return their issues, and the metadata of those that can be read."""
    issues: list[Issue] = []
    files = []
    with progress_bar("Checking files") as report:
        for number, path in enumerate(paths):
            issues += check_file(path, part_of(report, number, len(paths)))
            try:
                files.append(read_well_file(path))
            except (ValueError, TypeError, OSError, RuntimeError):
                continue  # its issues are listed
    return issues, files


def is_data_set(folder: Path) -> bool:
    """Whether a folder looks like that of a data set."""
    return (folder / "data").is_dir()


def split_paths(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split, none where there are none."""
    paths = {}
    for split in SPLITS:
        try:
            paths[split] = split_files(folder / "data" / split)
        except FileNotFoundError:
            paths[split] = []
    return paths


def _missing(folder: Path, split: str) -> Issue:
    message = "holds no .hdf5 or .h5 file, expected at least one"
    if not (folder / "data" / split).is_dir():
        others = sorted(
            path.name
            for path in (folder / "data").glob("*")
            if path.is_dir() and path.name not in SPLITS and path.name[0] != "."
        )
        hint = f"; there is {', '.join(others)}, and names count" if others else ""
        message = f"is missing, expected a folder with .hdf5 or .h5 files{hint}"
    return Issue(folder, f"data/{split}", SPLITS[split], message)


def check_duplicates(splits: Mapping[str, Sequence[WellFile]]) -> list[Issue]:
    """Look for trajectories with the same first frame and the same parameters, to the last bit.

    Trajectories that start alike with other parameters are different: many data sets of The Well hold such.

    Args:
        splits: The files of each split, the one that is trained on first.
    """
    seen: dict[bytes, tuple[str, Path, int]] = {}
    issues: list[Issue] = []
    for split, files in splits.items():
        for file in files:
            found = []
            for trajectory, digest in enumerate(_digests(file)):
                origin = seen.setdefault(digest, (split, file.path, trajectory))
                if origin != (split, file.path, trajectory):
                    found.append((trajectory, origin))
            issues += _issues(file, split, found)
    return issues


def _issues(file: WellFile, split: str, found: Sequence[tuple[int, tuple[str, Path, int]]]) -> Iterator[Issue]:
    """Yield one issue for each split from which a file repeats trajectories."""
    for origin_split, count in Counter(origin for _, (origin, _, _) in found).items():
        trajectory, (_, path, number) = next(item for item in found if item[1][0] == origin_split)
        message = (
            f"{count} of {file.n_trajectories} trajectories are also in {origin_split}: trajectory {trajectory} starts "
            f"as number {number} of {path}, with the same parameters"
        )
        if origin_split == split:
            yield Issue(file.path, "/", "warning", f"{message}; keep one of each")
        else:
            yield Issue(file.path, "/", "error", f"{message}, so that {split} does not test: replace them")


def _digests(file: WellFile) -> list[bytes]:
    """Return a hash of each trajectory's parameters and first frame; none if the file stores one or is damaged."""
    try:
        return list(_hashes(file))
    except (WellFormatError, OSError):  # its issues are listed
        return []


def _hashes(file: WellFile) -> Iterator[bytes]:
    if not any(field.sample_varying and field.time_varying for field in file.fields):
        return
    with open_hdf5(file.path) as root:
        for trajectory in range(file.n_trajectories):
            digest = hashlib.blake2b(digest_size=16)
            for name, values in sorted(file.scalars.items()):
                digest.update(f"{name}={float(values[trajectory])!r};".encode())
            frames = [(field, _frame(root, field, trajectory, 0)) for field in file.fields]
            if not any(field.time_varying and np.ptp(values) > 0 for field, values in frames):  # all is at rest
                frames += [(field, _frame(root, field, trajectory, -1)) for field in file.fields]
            for field, values in frames:
                digest.update(field.name.encode())
                digest.update(np.ascontiguousarray(values).tobytes())
            yield digest.digest()


def _frame(root: Entry, field: WellField, trajectory: int, frame: int) -> np.ndarray:
    return root.dataset(field.path).read((trajectory,) * field.sample_varying + (frame,) * field.time_varying)


def check_agreement(files: Sequence[WellFile]) -> list[Issue]:
    """Compare all files with the first."""
    issues = []
    for file in files[1:]:
        for difference in differences(file, files[0]):
            noun, found, expected = _worded(difference)
            rule = "fit warns of it" if difference.noun == INTERVAL else "the files of a data set must agree"
            message = f"has the {noun} {found}, but {files[0].path} has {expected}: {rule}"
            issues.append(Issue(file.path, difference.location, difference.severity, message))
    return issues


def _worded(difference: Difference) -> tuple[str, object, object]:
    """Return the noun and both values for people to read: of coordinates, the point that differs most."""
    noun, found, expected = difference.noun, difference.found, difference.expected
    if isinstance(found, np.ndarray) and isinstance(expected, np.ndarray):
        index = int(np.abs(found - expected).argmax())
        return f"coordinate number {index}", f"{found[index]:.7g}", f"{expected[index]:.7g}"
    if isinstance(found, float):
        return noun, f"{found:.6g}", f"{expected:.6g}"
    return noun, found, expected
