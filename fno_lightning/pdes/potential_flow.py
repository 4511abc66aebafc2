"""Pressure on random bodies in an ideal flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.point_problem import PointProblem, PointSolution
from fno_lightning.pdes.requirements import require_at_least, require_not_negative, require_positive, require_range
from fno_lightning.pdes.solvers.source_panels import areas, surface_velocity, unit_normals

SUMMIT, WIDTH = (-0.3, 0.0, 1.0), 0.6
"""Direction of the cabin, and its width in radians."""


class Body(NamedTuple):
    """What decides a flow.

    Attributes:
        half_axes: Half the length, width and height.
        exponent: 2: an ellipsoid; more: a box with round edges.
        cabin: Height of the cabin over that of the body.
        yaw: Angle of the stream with the length, in radians.
        clearance: Distance from the ground.
    """

    half_axes: tuple[float, float, float]
    exponent: float
    cabin: float
    yaw: float
    clearance: float


@dataclass(frozen=True)
class PotentialFlow(PointProblem):
    r"""Pressure on the surface of random car-like bodies above the ground, in an ideal flow.

    Bodies are superellipsoids :math:`|x/a|^p + |y/b|^p + |z/c|^p = 1` with a cabin on top. The flow has no viscosity
    and no vorticity; its pressure coefficient :math:`1 - |v|^2 / |U|^2` is found by sources on flat panels
    (:func:`~fno_lightning.pdes.solvers.source_panels.surface_velocity`). The form of the car data of neuralop 2.0
    (``load_mini_car``: Umetani and Bickel 2018, doi:10.1145/3197517.3201325), surface in, pressure on it out; those
    are viscous, with wakes, and these are not.

    The points are the centres of the panels, with their areas as weights. Constant fields: ``normal_x``, ``normal_y``
    and ``normal_z``, outward; ``stream_x`` and ``stream_y``, the direction of the stream. Field: ``pressure``.

    Args:
        frequencies: Least and greatest n; a body has 20 n² panels.
        widths: Least and greatest b; a is 1.
        heights: Least and greatest c.
        exponents: Least and greatest p.
        cabins: Least and greatest height of the cabin, over c.
        yaw: Greatest angle of the stream to the body's length, in degrees.
        clearances: Least and greatest distance from the ground; ``None``: there is no ground.

    Raises:
        ValueError: if a value is out of range.

    Good values: the defaults; against an ellipsoid's exact solution the pressure has an error of 1.5 % with n = 4
    and of 0.9 % with n = 6 (relative L2 over the surface).
    """

    dataset_name: ClassVar[str] = "potential_flow"
    constant_field_names: ClassVar[tuple[str, ...]] = ("normal_x", "normal_y", "normal_z", "stream_x", "stream_y")
    field_names: ClassVar[tuple[str, ...]] = ("pressure",)

    frequencies: tuple[int, int] = (4, 6)
    widths: tuple[float, float] = (0.35, 0.5)
    heights: tuple[float, float] = (0.2, 0.35)
    exponents: tuple[float, float] = (2.0, 4.0)
    cabins: tuple[float, float] = (0.0, 0.6)
    yaw: float = 20.0
    clearances: tuple[float, float] | None = (0.1, 0.3)

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges = {name: getattr(self, name) for name in ("widths", "heights", "exponents")}
        if self.clearances is not None:
            ranges["clearances"] = self.clearances
        require_range(**ranges, cabins=self.cabins)
        require_positive(**ranges)
        require_not_negative(cabins=self.cabins[0], yaw=self.yaw)
        require_at_least(2, frequencies=min(self.frequencies))
        if self.exponents[0] < 2:
            raise ValueError(f"exponents start at {self.exponents[0]}, expected at least 2, an ellipsoid")
        if len(self.frequencies) != 2 or self.frequencies[0] > self.frequencies[1]:
            raise ValueError(f"frequencies is the least and the greatest, got {self.frequencies}")

    @property
    def box(self) -> tuple[tuple[float, float], ...]:
        """A box around the largest body."""
        top = self.heights[1] * (1 + self.cabins[1])
        return (-1.0, 1.0), (-self.widths[1], self.widths[1]), (-self.heights[1], top)

    @property
    def most_points(self) -> int:
        """Largest number of panels."""
        return 20 * self.frequencies[1] ** 2

    def solve(self, seeds: Sequence[int]) -> list[PointSolution]:
        """Draw a body and a stream for each seed, and solve for the pressure."""
        return [self._solve(np.random.default_rng(seed)) for seed in seeds]

    def _solve(self, generator: np.random.Generator) -> PointSolution:
        frequency = int(generator.integers(*self.frequencies, endpoint=True))
        body = self.draw(generator)
        triangles = surface(body, frequency)
        stream = torch.tensor([math.cos(body.yaw), math.sin(body.yaw), 0.0], dtype=torch.float64)
        ground = None if self.clearances is None else float(triangles[..., 2].min()) - body.clearance
        pressure = 1 - surface_velocity(triangles, stream, ground).square().sum(dim=1)
        given = (*unit_normals(triangles).unbind(dim=1), *stream[:2, None].expand(-1, len(triangles)))
        return PointSolution(
            triangles.mean(dim=1).float(),
            areas(triangles).float(),
            {name: part.float() for name, part in zip(self.constant_field_names, given, strict=True)},
            {"pressure": pressure.float()},
        )

    def draw(self, generator: np.random.Generator) -> Body:
        """Draw a body and its stream."""
        return Body(
            (1.0, generator.uniform(*self.widths), generator.uniform(*self.heights)),
            generator.uniform(*self.exponents),
            generator.uniform(*self.cabins),
            math.radians(generator.uniform(-self.yaw, self.yaw)),
            generator.uniform(*(self.clearances or (0.0, 0.0))),
        )


def surface(body: Body, frequency: int) -> Float[Tensor, "panel 3 3"]:
    """Return the triangles of a body, 20 n² of them, counterclockwise as seen from outside."""
    directions = sphere(frequency)
    reach = directions.abs().pow(body.exponent).sum(dim=-1, keepdim=True) ** (-1 / body.exponent)
    corners = directions * reach * torch.tensor(body.half_axes, dtype=torch.float64)
    summit = torch.nn.functional.normalize(torch.tensor(SUMMIT, dtype=torch.float64), dim=0)
    angle = torch.acos((directions @ summit).clamp(-1, 1))
    rise = 1 + body.cabin * torch.exp(-((angle / WIDTH) ** 2))
    return torch.cat((corners[..., :2], corners[..., 2:] * rise[..., None]), dim=-1)


@cache
def sphere(frequency: int) -> Float[Tensor, "panel 3 3"]:
    """Return the triangles of an icosahedron, each cut into n², on the unit sphere, float64."""
    ratio = (1 + math.sqrt(5)) / 2
    plane = [(0.0, s, t * ratio) for s in (-1, 1) for t in (-1, 1)]
    corners = torch.tensor([p[-k:] + p[:-k] for p in plane for k in range(3)], dtype=torch.float64)
    near = torch.cdist(corners, corners) < 2.1  # edges have length 2
    faces = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]
    ]
    triangles = [_cut(*_counterclockwise(corners[list(face)]), frequency) for face in faces]
    return torch.nn.functional.normalize(torch.cat(triangles), dim=-1)


def _counterclockwise(face: Float[Tensor, "3 3"]) -> tuple[Tensor, Tensor, Tensor]:
    a, b, c = face
    return (a, b, c) if torch.linalg.cross(b - a, c - a) @ a > 0 else (a, c, b)


def _cut(a: Tensor, b: Tensor, c: Tensor, frequency: int) -> Float[Tensor, "panel 3 3"]:
    """Return the n² triangles of a triangle, in its sense."""
    upright = [((i, j), (i + 1, j), (i, j + 1)) for i in range(frequency) for j in range(frequency - i)]
    turned = [((i + 1, j), (i + 1, j + 1), (i, j + 1)) for i in range(frequency) for j in range(frequency - i - 1)]
    steps = torch.tensor(upright + turned, dtype=a.dtype) / frequency
    return a + steps[..., :1] * (b - a) + steps[..., 1:] * (c - a)
