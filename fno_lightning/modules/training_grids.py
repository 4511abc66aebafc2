"""The grids that a network was trained on, and the warning where a forecast leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities import rank_zero_warn


class TrainingGrids:
    """Grids of the batches that a module was trained on.

    A neural operator takes any grid, but what it learnt on one does not hold on all: errors on grids that it was not
    trained on are often several times as large (arXiv 2510.06646).

    Args:
        any_size: Whether sizes mean nothing, as the numbers of points of irregular data: then none is kept.
    """

    def __init__(self, *, any_size: bool = False) -> None:
        self.any_size = any_size
        self.seen: set[tuple[int, ...]] = set()
        self._warned: set[tuple[int, ...]] = set()
        self._is_quiet = False

    def add(self, grids: Iterable[Sequence[int]]) -> None:
        """Add grids of a training."""
        if not self.any_size:
            self.seen |= {tuple(grid) for grid in grids}

    def check(self, grid: Sequence[int]) -> None:
        """Warn, once for each grid, of a forecast on a grid that is none of the training's."""
        if torch.compiler.is_compiling() or self._is_quiet or not self.seen:
            return
        if (shape := tuple(grid)) in self.seen or shape in self._warned:
            return
        self._warned.add(shape)
        rank_zero_warn(
            f"forecast on a grid of {_text(shape)} points, but the network was trained on "
            f"{', '.join(map(_text, sorted(self.seen)))} alone: its error there may be larger, ResolutionErrors "
            "measures it, and data.init_args.train_strides or train_resolutions train on several grids"
        )

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Forecast on other grids without a warning."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    def to_plain(self) -> list[list[int]]:
        """Return the grids as plain values, for a checkpoint."""
        return [list(grid) for grid in sorted(self.seen)]


def _text(grid: Sequence[int]) -> str:
    return " x ".join(map(str, grid))
