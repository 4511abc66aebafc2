"""Point clouds that a problem on random domains makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from fno_lightning.arguments import plain
from fno_lightning.data.base import require_at_least
from fno_lightning.data.batch import SPLITS, Split, splits_of
from fno_lightning.data.clouds import PointCloud, cloud_spec
from fno_lightning.data.point_clouds import CloudDataModule
from fno_lightning.data.simulation import trajectory_seeds
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes import PointProblem
from fno_lightning.progress import progress_bar
from fno_lightning.version import __version__

AT_ONCE = 16
"""Solutions between two reports of the progress."""


class GeneratedPointCloudDataModule(CloudDataModule):
    """Solutions of a problem on random domains, solved at first use and kept in memory.

    That of number i in a split depends on ``seed`` and i alone.

    Args:
        problem: The problem, with its domains and points.
        n_train: Solutions of the train split.
        n_valid: Solutions of the validation split.
        n_test: Solutions of the test split.
        seed: Selects the solutions.
        **options: Padding and loaders, see :class:`CloudDataModule`.

    Raises:
        ValueError: if a count is not positive.
    """

    def __init__(
        self,
        problem: PointProblem,
        *,
        n_train: int = 256,
        n_valid: int = 32,
        n_test: int = 64,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(problem.dataset_name, **options)
        require_at_least(1, n_train=n_train, n_valid=n_valid, n_test=n_test)
        require_at_least(0, seed=seed)
        if self.n_steps_input > 0 or self.n_steps_output > 1:
            raise ValueError(f"{type(problem).__name__} is steady: leave out n_steps_input and n_steps_output")
        self.problem = problem
        counts = {"train": n_train, "valid": n_valid, "test": n_test}
        self.n_samples: dict[Split, int] = plain(counts, "counts")
        self.seed: int = plain(seed, "seed")

    def _reset(self) -> None:
        super()._reset()
        self._clouds: dict[Split, list[PointCloud]] = {}

    @property
    def source(self) -> str:
        """Where the data are from."""
        return f"simulated: fno_lightning {__version__} {type(self.problem).__name__}"

    @cached_property
    def spec(self) -> FieldSpec:
        """Description of the data, before anything is solved."""
        corners = torch.tensor(self.problem.box).T
        nothing = torch.zeros(2)
        cloud = PointCloud(
            corners,
            dict.fromkeys(self.problem.field_names, nothing),
            dict.fromkeys(self.problem.constant_field_names, nothing),
        )
        spec = cloud_spec([cloud], self.dataset_name, source=self.source)
        return replace(spec, grid_shape=(self.problem.most_points,), box=self.problem.box)

    def setup(self, stage: str | None = None) -> None:
        """Solve the problems of a stage."""
        for split in splits_of(stage):
            self.clouds(split)

    def clouds(self, split: Split) -> Sequence[PointCloud]:
        """Return the solutions of a split, solved at first use."""
        if split not in self._clouds:
            numbers = [SPLITS.index(split) + len(SPLITS) * k for k in range(self.n_samples[split])]
            seeds = trajectory_seeds(self.seed, numbers)
            clouds: list[PointCloud] = []
            with progress_bar(f"Solving {self.dataset_name}, {split}") as report:
                for first in range(0, len(seeds), AT_ONCE):
                    solved = self.problem.solve(seeds[first : first + AT_ONCE])
                    clouds += [
                        PointCloud(part.positions, part.fields, part.constant_fields, weight=part.weight)
                        for part in solved
                    ]
                    report(len(clouds) / len(seeds))
            self._clouds[split] = clouds
        return self._clouds[split]
