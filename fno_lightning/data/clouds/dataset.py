"""Windows of point clouds that lie in memory, padded to a batch, and their statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch
from fno_lightning.data.clouds.channels import point_weight
from fno_lightning.data.clouds.cloud import CloudTensors
from fno_lightning.data.statistics import Moments, Statistics, StoredTypes, statistics_from_moments
from fno_lightning.data.windows import Window, common_length
from fno_lightning.field_spec import FieldSpec


class CloudDataset(Dataset[Batch]):
    """Windows of point clouds; those of a batch are padded with zeros, whose weight is 0, to equally many points.

    Args:
        clouds: The clouds.
        windows: Where the samples lie in them; ``file`` is not used.
        n_steps_input: Frames of a window that are history.
        n_points: Points of every batch; ``None``: of each as many as its largest cloud has.

    Raises:
        ValueError: when a batch is read, if its windows differ in length.
    """

    def __init__(
        self,
        clouds: Sequence[CloudTensors],
        windows: Sequence[Window],
        n_steps_input: int,
        n_points: int | None = None,
    ) -> None:
        self.clouds = clouds
        self.windows = windows
        self.n_steps_input = n_steps_input
        self.n_points = n_points

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([index])))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return samples as one batch."""
        windows = [self.windows[index] for index in indices]
        n_steps = self.n_steps_input + common_length([window.n_steps_output for window in windows])
        clouds = [self.clouds[window.trajectory] for window in windows]
        n_points = self.n_points or max(cloud.constants.shape[-1] for cloud in clouds)
        frames = _padded(
            [c.frames[w.start : w.start + n_steps] for c, w in zip(clouds, windows, strict=True)], n_points
        )
        return Batch(
            frames[:, : self.n_steps_input],
            _padded([cloud.constants for cloud in clouds], n_points),
            torch.stack([cloud.scalars for cloud in clouds]),
            frames[:, self.n_steps_input :],
        )


def _padded(parts: Sequence[Tensor], n_points: int) -> Tensor:
    return torch.stack([pad(part, (0, n_points - part.shape[-1])) for part in parts])


def cloud_statistics(clouds: Sequence[CloudTensors], spec: FieldSpec) -> Statistics:
    """Compute the statistics of all clouds, frames and points, by channel; each point counts by its weight.

    Args:
        clouds: The clouds of the train split.
        spec: Their description.
    """
    values, deltas = Moments(len(spec.fields)), Moments(len(spec.fields))
    constants = Moments(len(spec.constant_fields))
    for cloud in clouds:
        weight = point_weight(cloud.constants, spec)
        constants.update(cloud.constants.mT, weight)
        for moments, frames in ((values, cloud.frames), (deltas, cloud.frames.diff(dim=0))):
            of_frame = None if weight is None else weight.expand(len(frames), -1).flatten()
            moments.update(frames.movedim(1, 2).flatten(0, 1), of_frame)
    parts = (cloud_part.dtype for cloud_part in clouds[0])
    kinds = [np.dtype(np.float64 if dtype == torch.float64 else np.float32) for dtype in parts]
    sizes = len(spec.fields), len(spec.constant_fields), len(spec.scalars)
    return statistics_from_moments(
        values=(values.mean, values.std),
        deltas=(deltas.mean, deltas.std),
        constants=(constants.mean, constants.std),
        scalars=torch.stack([cloud.scalars for cloud in clouds], dim=1),
        stored=StoredTypes(*([kind] * size for kind, size in zip(kinds, sizes, strict=True))),
    )
