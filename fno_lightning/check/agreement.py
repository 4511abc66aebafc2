"""Checks that the files of a data set can be used together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from fno_lightning.check.findings import Fault
from fno_lightning.data.hdf5 import WellField, WellFile
from fno_lightning.data.hdf5.agreement import Difference, differences


def check_duplicates(splits: Mapping[str, Sequence[WellFile]]) -> list[Fault]:
    """Looks for trajectories with the same first frame and the same parameters, to the last bit.

    Trajectories that start alike with other parameters are different: many data sets of The Well hold such.

    Args:
        splits: The files of each split, the one that is trained on first.
    """
    seen: dict[bytes, tuple[str, Path, int]] = {}
    faults: list[Fault] = []
    for split, files in splits.items():
        for file in files:
            found = []
            for trajectory, digest in enumerate(_digests(file)):
                origin = seen.setdefault(digest, (split, file.path, trajectory))
                if origin != (split, file.path, trajectory):
                    found.append((trajectory, origin))
            faults += _faults(file, split, found)
    return faults


def _faults(file: WellFile, split: str, found: Sequence[tuple[int, tuple[str, Path, int]]]) -> Iterator[Fault]:
    """Yields one fault for each split from which a file repeats trajectories."""
    for origin_split, count in Counter(origin for _, (origin, _, _) in found).items():
        trajectory, (_, path, number) = next(item for item in found if item[1][0] == origin_split)
        message = (
            f"{count} of {file.n_trajectories} trajectories are also in {origin_split}: trajectory {trajectory} starts "
            f"as number {number} of {path}, with the same parameters"
        )
        if origin_split == split:
            yield Fault(file.path, "/", "warning", f"{message}; keep one of each")
        else:
            yield Fault(file.path, "/", "error", f"{message}, so that {split} does not test: replace them")


def _digests(file: WellFile) -> list[bytes]:
    """Returns a hash of what determines each trajectory; nothing if the file stores them as one, or is damaged."""
    try:
        return list(_hashes(file))
    except (OSError, RuntimeError):  # the faults of the file say why
        return []


def _hashes(file: WellFile) -> Iterator[bytes]:
    if not any(field.sample_varying and field.time_varying for field in file.fields):
        return
    with h5py.File(file.path, "r") as handle:
        for trajectory in range(file.n_trajectories):
            digest = hashlib.blake2b(digest_size=16)
            for name, values in sorted(file.scalars.items()):
                digest.update(f"{name}={float(values[trajectory])!r};".encode())
            frames = [(field, _frame(handle, field, trajectory, 0)) for field in file.fields]
            if not any(field.time_varying and np.ptp(values) > 0 for field, values in frames):  # all is at rest
                frames += [(field, _frame(handle, field, trajectory, -1)) for field in file.fields]
            for field, values in frames:
                digest.update(field.name.encode())
                digest.update(np.ascontiguousarray(values).tobytes())
            yield digest.digest()


def _frame(handle: h5py.File, field: WellField, trajectory: int, frame: int) -> np.ndarray:
    return np.asarray(handle[field.path][(trajectory,) * field.sample_varying + (frame,) * field.time_varying])


def check_agreement(files: Sequence[WellFile]) -> list[Fault]:
    """Compare all files with the first."""
    faults = []
    for file in files[1:]:
        for difference in differences(file, files[0]):
            noun, found, expected = _worded(difference)
            message = f"has the {noun} {found}, but {files[0].path} has {expected}: the files of a data set must agree"
            faults.append(Fault(file.path, difference.location, difference.severity, message))
    return faults


def _worded(difference: Difference) -> tuple[str, object, object]:
    """Return the noun and both values for people to read: of coordinates, the point that differs most."""
    noun, found, expected = difference.noun, difference.found, difference.expected
    if isinstance(found, np.ndarray) and isinstance(expected, np.ndarray):
        index = int(np.abs(found - expected).argmax())
        return f"coordinate number {index}", f"{found[index]:.7g}", f"{expected[index]:.7g}"
    if isinstance(found, float):
        return noun, f"{found:.6g}", f"{expected:.6g}"
    return noun, found, expected
