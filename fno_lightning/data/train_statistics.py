"""Statistics of fields over all files of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import h5py
import torch
from torch import Tensor

from fno_lightning.data.moments import Moments
from fno_lightning.data.progress import progress_bar
from fno_lightning.data.well_file import WellField, WellFile

CHUNK_BYTES = 2**25
"""Values that are read at a time."""

Table: TypeAlias = dict[str, dict[str, Tensor]]
"""Each statistic of each field, ``(component,)``, by the names that The Well's ``stats.yaml`` uses."""


def compute_statistics(
    files: Sequence[WellFile],
    names: Sequence[str],
    dt_stride: int = 1,
    trajectories: Sequence[Sequence[int]] | None = None,
) -> Table:
    """Computes mean, standard deviation and root mean square of fields and of their differences between steps.

    As in The Well's own statistics, they are pooled over files, trajectories, frames and points, with the population
    variance, in float64, over the values that are stored.

    Args:
        files: Metadata of the files.
        names: Names of the fields.
        dt_stride: Distance in frames between the two steps of a difference.
        trajectories: Which trajectories of each file count; all unless given.

    Raises:
        ValueError: if a value is not finite; names the file and the field.
    """
    table: Table = {key: {} for key in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")}
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
            values, deltas = _moments(files, chosen, name, dt_stride, count)
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
    count: Callable[[int], None],
) -> tuple[Moments, Moments | None]:
    """Moments of a field, and of its differences if it depends on time; counts the values that it has read."""
    first = files[0].field(name)
    values, deltas = Moments(len(first.components)), Moments(len(first.components))
    for file, kept in zip(files, trajectories, strict=True):
        for n_new, frames in _chunks(file, kept, file.field(name), dt_stride):
            values.update(frames[:n_new].flatten(0, 1))
            deltas.update((frames[dt_stride:] - frames[:-dt_stride]).flatten(0, 1))
            if not torch.isfinite(values.mean).all():
                raise ValueError(
                    f"'{name}' holds NaN or infinite values in {file.path}, expected finite ones: simulate or download "
                    "the file again, or leave it out with exclude_filters"
                )
            count(frames[:n_new].numel())
    return values, deltas if first.time_varying else None


def _chunks(
    file: WellFile, trajectories: Sequence[int], field: WellField, dt_stride: int
) -> Iterator[tuple[int, Tensor]]:
    """Yields chunks ``(frame, point, component)``: some new frames, then those that their differences need too."""
    frame_bytes = field.frame_size * field.dtype.itemsize
    n_new = max(1, CHUNK_BYTES // frame_bytes)
    with h5py.File(file.path, "r") as handle:
        dataset = handle[field.path]
        for trajectory in trajectories if field.sample_varying else (None,) * bool(trajectories):
            for start in range(0, file.n_frames if field.time_varying else 1, n_new):
                frames = slice(start, start + n_new + dt_stride)
                index = (trajectory,) * field.sample_varying + (frames,) * field.time_varying
                values = torch.from_numpy(dataset[index]).double()
                yield n_new, values.reshape(-1, field.frame_size // len(field.components), len(field.components))
