"""Gas in rectangles of different states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.euler import Conserved, Primitive, to_conserved


class Pieces(NamedTuple):
    """A piecewise constant state of the unit square.

    Attributes:
        edges: Edges of the pieces along x and y in ascending order, from 0 to 1, ``(batch, 2, pieces + 1)``; those that
            are not needed lie at 1.
        values: Density, velocity along x and y, and pressure, ``(batch, 4, pieces, pieces)``.
    """

    edges: Float[Tensor, "batch 2 edges"]
    values: Float[Tensor, "batch 4 pieces pieces"]


@dataclass(frozen=True)
class Quadrants:
    """Random states of a gas that are constant in the rectangles between random lines.

    Args:
        interfaces: Least and greatest number of lines across x, and across y; a seed draws both, and where they are.
        density: Range of the density, uniform.
        pressure: Range of the pressure, uniform.
        speed: Greatest velocity along x and y, uniform in both directions.
        periodic: Whether the first piece of an axis continues the last, else the edge of the square ends them.
    """

    interfaces: tuple[int, int]
    density: tuple[float, float]
    pressure: tuple[float, float]
    speed: float
    periodic: bool

    def sample(self, seeds: Sequence[int], resolution: tuple[int, int], gamma: float) -> Conserved:
        """Average each seed's state over the cells of a grid, exactly, in float64.

        Args:
            seeds: Seed of each state.
            resolution: Cells along x and y.
            gamma: Ratio of specific heats.
        """
        edges, values = self.pieces(seeds)
        state = torch.stack(to_conserved(Primitive(*values.unbind(dim=1)), gamma), dim=1)
        share_x, share_y = (_shares(edges[:, axis], n_cells) for axis, n_cells in enumerate(resolution))
        return Conserved(*torch.einsum("bxi, bcij, byj -> bcxy", share_x, state, share_y).unbind(dim=1))

    def pieces(self, seeds: Sequence[int]) -> Pieces:
        """Draw the state of each seed."""
        drawn = [self._draw(seed) for seed in seeds]
        return Pieces(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def _draw(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        n_pieces = self.interfaces[1] + 1
        edges = np.ones((2, n_pieces + 1))
        edges[:, 0] = 0
        numbers = generator.integers(self.interfaces[0], self.interfaces[1], size=2, endpoint=True)
        for axis, number in zip(edges, numbers, strict=True):
            axis[1 : number + 1] = np.sort(generator.uniform(0, 1, number))
        lowest, highest = np.array(
            [self.density, (-self.speed, self.speed), (-self.speed, self.speed), self.pressure]
        ).T
        values = generator.uniform(lowest[:, None, None], highest[:, None, None], (4, n_pieces, n_pieces))
        if self.periodic:
            values[:, numbers[0]] = values[:, 0]
            values[:, :, numbers[1]] = values[:, :, 0]
        return edges, values


def _shares(edges: Float[Tensor, "batch edges"], n_cells: int) -> Float[Tensor, "batch cells pieces"]:
    """Part of each cell that lies in each piece."""
    faces = torch.linspace(0, 1, n_cells + 1, dtype=edges.dtype)
    lower = torch.maximum(edges[:, None, :-1], faces[:-1, None])
    upper = torch.minimum(edges[:, None, 1:], faces[1:, None])
    return (upper - lower).clamp(min=0) * n_cells
