"""Metrics of evaluations over several loaders."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from lightning.pytorch import Trainer
from torch import nn
from torchmetrics import Metric

M = TypeVar("M", bound=Metric)


class ByLoader(nn.ModuleList, Generic[M]):
    """A metric for each loader of an evaluation, made when it is asked for.

    Args:
        metric: The metric of the first loader; those of others are like it.
    """

    def __init__(self, metric: M) -> None:
        super().__init__([metric])

    def of(self, loader: int) -> M:
        """Return the metric of a loader."""
        while len(self) <= loader:
            metric = cast("M", self[0]).clone()
            metric.reset()
            self.append(metric.train())  # made in evaluation, of which it would keep the mode
        return cast("M", self[loader])


def evaluated_loaders(trainer: Trainer) -> list[int | None]:
    """Return the numbers of the loaders that the running validation or test goes through; ``[None]`` if it is one."""
    batches = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
    n_loaders = len(batches) if isinstance(batches, list) else 1
    return [None] if n_loaders < 2 else list(range(n_loaders))
