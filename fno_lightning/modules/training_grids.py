"""The grids that a network was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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

    def add(self, grids: Iterable[Sequence[int]]) -> None:
        """Add grids of a training."""
        if not self.any_size:
            self.seen |= {tuple(grid) for grid in grids}

    def departure(self, grid: Sequence[int]) -> str | None:
        """Say that a grid is none of the training's; ``None``: it is one, or nothing is known of the training."""
        if not self.seen or tuple(grid) in self.seen:
            return None
        return (
            f"forecast on a grid of {_text(grid)} points, but the network was trained on "
            f"{', '.join(map(_text, sorted(self.seen)))} alone: its error there may be larger, ResolutionErrors "
            "measures it, and data.init_args.train_strides or train_resolutions train on several grids"
        )

    def to_plain(self) -> list[list[int]]:
        """Return the grids as plain values, for a checkpoint."""
        return [list(grid) for grid in sorted(self.seen)]


def _text(grid: Sequence[int]) -> str:
    return " x ".join(map(str, grid))
