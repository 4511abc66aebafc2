"""The Well's ``stats.yaml``: statistics of the train split, read, completed and written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from fno_lightning.data.atomic_file import atomic_file
from fno_lightning.data.hdf5_entry import WellFormatError
from fno_lightning.data.spec import FieldSpec
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.train_statistics import Table, compute_statistics
from fno_lightning.data.well_file import WellField, WellFile

logger = logging.getLogger(__name__)


def load_statistics(
    path: Path,
    files: Sequence[WellFile],
    spec: FieldSpec,
    *,
    dt_stride: int = 1,
    trajectories: Sequence[Sequence[int]] | None = None,
    save: bool = True,
) -> Statistics:
    """Returns the statistics of a train split, from its file where that is complete.

    Fields whose entries are missing are computed from the data and added to the file; where the folder cannot be
    written, they are only kept in memory. Either way a log line says so. Statistics of the scalars always come from the
    files' metadata.

    Args:
        path: The ``stats.yaml``.
        files: Metadata of the files of the train split.
        spec: Which channels are wanted.
        dt_stride: Distance in frames between the two steps of a difference.
        trajectories: Which trajectories of each file count; all unless given.
        save: Whether to write what had to be computed.

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
        for key, values in compute_statistics(files, missing, dt_stride, trajectories).items():
            table.setdefault(key, {}).update(values)
        if save:
            _save(path, table, fields)
    else:
        logger.info("normalising with the statistics in %s", path)
    return _select(table, fields, _scalars(files, trajectories, spec), spec)


def _is_complete(table: Table, field: WellField) -> bool:
    """Whether a field has all entries that cannot be had from the others."""
    needed = ("mean", "std", "mean_delta", "std_delta") if field.time_varying else ("mean", "std")
    return all(field.name in table.get(key, {}) for key in needed)


def _read(path: Path, fields: Mapping[str, WellField]) -> Table:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise _unreadable(path, f"is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not all(isinstance(entries, dict) for entries in content.values()):
        raise _unreadable(path, "does not list statistics by field")
    return {
        key: {name: _values(path, key, field, entries[name]) for name, field in fields.items() if name in entries}
        for key, entries in content.items()
    }


def _values(path: Path, key: str, field: WellField, entry: Any) -> Tensor:
    """Values of an entry by component."""
    try:
        values = torch.tensor(entry, dtype=torch.float64).flatten()
    except (TypeError, ValueError) as error:
        raise _unreadable(path, f"has {entry!r} at {key}/{field.name}") from error
    if len(values) != len(field.components) or not torch.isfinite(values).all():
        raise _unreadable(path, f"has {entry!r} at {key}/{field.name}, expected {len(field.components)} finite numbers")
    return values


def _unreadable(path: Path, found: str) -> WellFormatError:
    return WellFormatError(f"{path} {found}: correct it, or delete it to have the statistics computed again")


def _save(path: Path, table: Table, fields: Mapping[str, WellField]) -> None:
    """Adds the entries to the file, a vector's as a list and a tensor's as a list of rows."""
    content = yaml.safe_load(path.read_text()) if path.exists() else {}
    for key, entries in table.items():
        for name, values in entries.items():
            order = fields[name].order
            n_dims = round(len(values) ** (1 / order)) if order else 1
            content.setdefault(key, {})[name] = values.reshape((n_dims,) * order).tolist()
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(yaml.safe_dump(content, default_flow_style=None))
        logger.info("statistics written to %s", path)
    except OSError as error:
        logger.warning("statistics are kept in memory only: %s", error)


def _scalars(files: Sequence[WellFile], trajectories: Sequence[Sequence[int]] | None, spec: FieldSpec) -> Tensor:
    """Scalars of the trajectories that count, ``(scalar, trajectory)``, float64."""
    chosen = trajectories or [range(file.n_trajectories) for file in files]
    columns = [
        [file.scalars[name][list(kept)] for file, kept in zip(files, chosen, strict=True)] for name in spec.scalars
    ]
    rows = [torch.from_numpy(np.concatenate(parts)).double() for parts in columns]
    return torch.stack(rows) if rows else torch.zeros(0, 1, dtype=torch.float64)


def _select(table: Table, fields: Mapping[str, WellField], scalars: Tensor, spec: FieldSpec) -> Statistics:
    """Picks the channels of a specification."""

    def channels(key: str, names: Sequence[str]) -> Tensor:
        values = {
            component: value
            for name, entry in table.get(key, {}).items()
            for component, value in zip(fields[name].components, entry.tolist(), strict=True)
        }
        return torch.tensor([values[name] for name in names])

    mean, std = channels("mean", spec.fields), channels("std", spec.fields)
    mean_delta, std_delta = channels("mean_delta", spec.fields), channels("std_delta", spec.fields)
    scalar_mean = scalars.mean(dim=1, keepdim=True)
    scalar_std = (scalars - scalar_mean).square().mean(dim=1).sqrt()
    return Statistics(
        mean=mean,
        std=std,
        rms=torch.hypot(mean, std),
        mean_delta=mean_delta,
        std_delta=std_delta,
        rms_delta=torch.hypot(mean_delta, std_delta),
        constant_mean=channels("mean", spec.constant_fields),
        constant_std=channels("std", spec.constant_fields),
        scalar_mean=scalar_mean[:, 0].float(),
        scalar_std=scalar_std.float(),
    )
