"""The Well's ``stats.yaml``: statistics of the train split, read, completed and written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import yaml
from torch import Tensor

from fno_lightning.data.finite import require_finite
from fno_lightning.data.hdf5.blocks import frame_blocks
from fno_lightning.data.hdf5.entry import EntryError
from fno_lightning.data.hdf5.file import WellField, WellFile
from fno_lightning.data.hdf5.opening import open_hdf5
from fno_lightning.data.hdf5.resampling import Resampling
from fno_lightning.data.precision import batch_dtype
from fno_lightning.data.statistics import Moments, Statistics, StoredTypes, statistics_from_moments
from fno_lightning.field_spec import FieldSpec
from fno_lightning.files import atomic_file
from fno_lightning.progress import progress_bar

OF_VALUES = ("mean", "std", "rms")
OF_CHANGES = ("mean_delta", "std_delta", "rms_delta")
REPAIR = "delete the file, to have the statistics computed again"

Table: TypeAlias = dict[str, dict[str, Tensor]]
"""Each statistic of each field, ``(component,)``, by the names that The Well's ``stats.yaml`` uses."""


def compute_statistics(
    files: Sequence[WellFile],
    names: Sequence[str],
    dt_stride: int = 1,
    trajectories: Sequence[Sequence[int]] | None = None,
    resampling: Resampling | None = None,
) -> Table:
    """Compute mean, standard deviation and root mean square of fields and of their differences between steps.

    As in The Well's own statistics, they are pooled over files, trajectories, frames and points, with the population
    variance, in float64, over the values that are stored.

    Args:
        files: Metadata of the files.
        names: Names of the fields.
        dt_stride: Distance in frames between the two steps of a difference.
        trajectories: Trajectories of each file that count; all unless given.
        resampling: Resampling of the values that are stored; ``None``: there is none.

    Raises:
        ValueError: if a value is not finite; names the file and the field.
    """
    table: Table = {key: {} for key in (*OF_VALUES, *OF_CHANGES)}
    chosen = trajectories or [range(file.n_trajectories) for file in files]
    n_values = sum(
        _n_values(file, kept, file.field(name)) for file, kept in zip(files, chosen, strict=True) for name in names
    )
    n_read = 0
    with progress_bar("Computing statistics") as report:

        def count(n_new: int) -> None:
            nonlocal n_read
            n_read += n_new
            report(n_read / n_values)

        for name in names:
            values, deltas = _moments(files, chosen, name, dt_stride, resampling, count)
            for key, moments in (("", values), ("_delta", deltas)):
                if moments is not None:
                    table[f"mean{key}"][name] = moments.mean
                    table[f"std{key}"][name] = moments.std
                    table[f"rms{key}"][name] = moments.rms
    return table


def _n_values(file: WellFile, trajectories: Sequence[int], field: WellField) -> int:
    n_samples = len(trajectories) if field.sample_varying else min(1, len(trajectories))
    return n_samples * (file.n_frames if field.time_varying else 1) * field.frame_size


def _moments(
    files: Sequence[WellFile],
    trajectories: Sequence[Sequence[int]],
    name: str,
    dt_stride: int,
    resampling: Resampling | None,
    count: Callable[[int], None],
) -> tuple[Moments, Moments | None]:
    """Return the moments of a field, and of its differences if it depends on time; count the values read."""
    first = files[0].field(name)
    values, deltas = Moments(len(first.components)), Moments(len(first.components))
    for file, kept in zip(files, trajectories, strict=True):
        field = file.field(name)
        with open_hdf5(file.path) as root:
            for block in frame_blocks(root.dataset(field.path), field, dt_stride, kept):
                frames = torch.from_numpy(_resampled(block.frames, field, resampling).astype(np.float64))
                values.update(frames[: block.n_new].flatten(0, 1))
                deltas.update((frames[dt_stride:] - frames[:-dt_stride]).flatten(0, 1))
                require_finite(values.mean, name, file.path)
                _require_squares(torch.cat((values.std, deltas.std)), name, file.path)
                count(frames[: block.n_new].numel())
    return values, deltas if first.time_varying else None


def _resampled(frames: np.ndarray, field: WellField, resampling: Resampling | None) -> np.ndarray:
    """Resample frames ``(frame, point, component)`` of a field."""
    if resampling is None:
        return frames
    on_grid = frames.reshape(len(frames), *field.grid, frames.shape[-1])
    return resampling.apply(on_grid, 1).reshape(frames.shape)


logger = logging.getLogger(__name__)


def load_statistics(
    path: Path,
    files: Sequence[WellFile],
    spec: FieldSpec,
    *,
    dt_stride: int = 1,
    trajectories: Sequence[Sequence[int]] | None = None,
    resampling: Resampling | None = None,
    save: bool = True,
) -> Statistics:
    """Return the statistics of a train split, from its file where that is complete.

    Fields whose entries are missing are computed from the data and added to the file; where the folder cannot be
    written, they are only kept in memory. Either is logged. Statistics of the scalars always come from the
    files' metadata.

    Args:
        path: The ``stats.yaml``.
        files: Metadata of the files of the train split.
        spec: The channels that are wanted.
        dt_stride: Distance in frames between the two steps of a difference.
        trajectories: Trajectories of each file that count; all unless given.
        resampling: Resampling of the values that are stored; ``None``: there is none.
        save: Whether to write computed entries to the file.

    Raises:
        WellFormatError: if the file exists but is not a table of statistics.
        ValueError: if the data hold a value that is not finite.
    """
    wanted = {*spec.fields, *spec.constant_fields}
    fields = {field.name: field for field in files[0].fields if wanted.intersection(field.components)}
    table = _read(path, fields) if path.exists() else {}
    missing = [name for name, field in fields.items() if not _is_complete(table, field)]
    if missing:
        logger.info("%s has no statistics of %s: computing them from %d files", path, ", ".join(missing), len(files))
        for key, values in compute_statistics(files, missing, dt_stride, trajectories, resampling).items():
            table.setdefault(key, {}).update(values)
        if save:
            _save(path, table, fields)
    else:
        logger.info("normalising with the statistics in %s", path)
    stored = {
        component: _coarsest(file.field(field.name).dtype for file in files)
        for field in fields.values()
        for component in field.components
    }
    types = StoredTypes(
        fields=[stored[name] for name in spec.fields],
        constants=[stored[name] for name in spec.constant_fields],
        scalars=[_coarsest(file.scalars[name].dtype for file in files) for name in spec.scalars],
    )
    return _select(table, fields, _scalars(files, trajectories, spec), spec, types)


def _coarsest(dtypes: Iterable[np.dtype]) -> np.dtype:
    """Return the precision of the coarsest among stored types."""
    return min((batch_dtype([dtype]) for dtype in dtypes), key=lambda dtype: dtype.itemsize)


def _require_squares(std: Tensor, name: str, path: Path) -> None:
    if not std.isfinite().all():
        raise ValueError(f"'{name}' in {path} has values whose squares float64 cannot hold: store it in another unit")


def _is_complete(table: Table, field: WellField) -> bool:
    """Whether a field has all entries that do not follow from the others."""
    needed = ("mean", "std", "mean_delta", "std_delta") if field.time_varying else ("mean", "std")
    return all(field.name in table.get(key, {}) for key in needed)


def read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """Read the entries of a ``stats.yaml`` as they stand, by statistic and field.

    Raises:
        EntryError: if it cannot be read, or is not a table of statistics.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EntryError(path, "", f"cannot be read ({error.strerror}): change its permissions, or {REPAIR}") from error
    except UnicodeDecodeError as error:
        found = f"is not text in UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8, or {REPAIR}"
        raise EntryError(path, "", found) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: dates that there are not
        raise EntryError(path, "", f"is not YAML ({' '.join(str(error).split())}): {REPAIR}") from error
    if not isinstance(content, dict) or not all(isinstance(entries, dict) for entries in content.values()):
        raise EntryError(path, "", f"does not list statistics by field: {REPAIR}")
    return content


def statistics_of(field: WellField) -> tuple[str, ...]:
    """Return the names of the statistics that a field has."""
    return (*OF_VALUES, *OF_CHANGES) if field.time_varying else OF_VALUES


def read_entry(path: Path, key: str, field: WellField, entry: Any) -> Tensor:
    """Read an entry of a ``stats.yaml``, float64: a number, for a vector ``(axis,)``, for a tensor ``(axis, axis)``.

    Args:
        path: The file.
        key: Name of the statistic.
        field: The field that the entry belongs to.
        entry: The entry as YAML has it.

    Raises:
        EntryError: if it is anything else, a number is not finite, or a standard deviation is negative.
    """
    location = f"{key}/{field.name}"
    n_dims = _n_dims(field)
    try:
        values = np.asarray(entry)
        if values.dtype.kind == "U":  # PyYAML takes numbers such as 1e-30, without a point, for text
            values = values.astype(np.float64)
    except ValueError:  # lists of different lengths, or text
        values = np.asarray(None)
    if values.dtype.kind not in "fiu" or values.shape != (n_dims,) * field.order or not np.isfinite(values).all():
        expected = (
            "one finite number",
            f"a list of {n_dims} finite numbers",
            f"{n_dims} lists of {n_dims} finite numbers",
        )
        raise EntryError(path, location, f"is {entry!r}, expected {expected[field.order]}: {REPAIR}")
    if key.startswith("std") and (values < 0).any():
        raise EntryError(path, location, f"is {entry!r}, but no standard deviation is negative: {REPAIR}")
    return torch.from_numpy(values.astype(np.float64))


def _n_dims(field: WellField) -> int:
    """Return the number of components along each axis of a vector or tensor."""
    n_dims: int = round(len(field.components) ** (1 / max(field.order, 1)))
    return n_dims


def _read(path: Path, fields: Mapping[str, WellField]) -> Table:
    content = read_entries(path)
    table: Table = {}
    for name, field in fields.items():
        for key in statistics_of(field):
            if name in content.get(key, {}):
                table.setdefault(key, {})[name] = read_entry(path, key, field, content[key][name]).flatten()
    return table


def _save(path: Path, table: Table, fields: Mapping[str, WellField]) -> None:
    """Add the entries to the file, a vector's as a list and a tensor's as a list of rows."""
    content = read_entries(path) if path.exists() else {}
    for key, entries in table.items():
        for name, values in entries.items():
            shape = (_n_dims(fields[name]),) * fields[name].order
            content.setdefault(key, {})[name] = values.reshape(shape).tolist()
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(yaml.safe_dump(content, default_flow_style=None), encoding="utf-8")
        logger.info("statistics written to %s", path)
    except OSError as error:
        logger.warning("statistics are kept in memory only: %s", error)


def _scalars(files: Sequence[WellFile], trajectories: Sequence[Sequence[int]] | None, spec: FieldSpec) -> Tensor:
    """Return the scalars of the trajectories that count, ``(scalar, trajectory)``, float64."""
    chosen = trajectories or [range(file.n_trajectories) for file in files]
    columns = [
        [file.scalars[name][list(kept)] for file, kept in zip(files, chosen, strict=True)] for name in spec.scalars
    ]
    rows = [torch.from_numpy(np.concatenate(parts)).double() for parts in columns]
    for name, row in zip(spec.scalars, rows, strict=True):
        _require_squares(row.std(correction=0), name, files[0].path)
    return torch.stack(rows) if rows else torch.zeros(0, 1, dtype=torch.float64)


def _select(
    table: Table, fields: Mapping[str, WellField], scalars: Tensor, spec: FieldSpec, stored: StoredTypes
) -> Statistics:
    """Pick the channels of a specification."""

    def channels(key: str, names: Sequence[str]) -> Tensor:
        values = {
            component: value
            for name, entry in table.get(key, {}).items()
            for component, value in zip(fields[name].components, entry.tolist(), strict=True)
        }
        return torch.tensor([values[name] for name in names], dtype=torch.float64)

    return statistics_from_moments(
        values=(channels("mean", spec.fields), channels("std", spec.fields)),
        deltas=(channels("mean_delta", spec.fields), channels("std_delta", spec.fields)),
        constants=(channels("mean", spec.constant_fields), channels("std", spec.constant_fields)),
        scalars=scalars,
        stored=stored,
    )
