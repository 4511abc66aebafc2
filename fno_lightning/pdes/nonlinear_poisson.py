"""The non-linear Poisson equation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.equation import named
from fno_lightning.pdes.inputs import random_gaussians, unit_gaussian_field
from fno_lightning.pdes.requirements import require_positive, require_range, require_resolution
from fno_lightning.pdes.solvers import (
    BoundaryValues,
    cell_centres,
    cell_spacing,
    harmonic_extension,
    nonlinear_error,
    nonlinear_residual,
    solve_nonlinear_diffusion,
    values_of_extension,
)
from fno_lightning.pdes.steady import Solution, SteadyPDE

BOUNDARY_SMOOTHNESS = 6.0
BOUNDARY_INVERSE_LENGTH = 3 * math.pi
"""Smoothness and inverse length of the random function that the boundary values are the trace of."""


@dataclass(frozen=True)
class NonlinearPoisson(SteadyPDE):
    r"""Diffusion that grows with the solution: from a source and boundary values to the solution.

    .. math:: \nabla \cdot \big((1 + \alpha u^2) \nabla u\big) = f

    on [0, 1]², u = g on the boundary. The source is a sum of Gaussians of random sign, centre and width,
    :math:`f = \sum_i \beta_i \exp(-|x - \mu_i|^2 / 2 \sigma_i^2)`; g is the trace of a smooth random function, or 0.
    The data set of ``neuralop`` has the same equation on random star-shaped domains with meshes; here it is the square.

    Finite volumes with values in the centres (i + 1/2) / n of the cells. The coefficient on a face is the mean of
    :math:`1 + \alpha u^2` along the straight line between the two values, :math:`1 + \alpha (u_1^2 + u_1 u_2 + u_2^2) /
    3`. These equations are not solved by Newton's method because Kirchhoff's transform solves them exactly: the flow
    is then the difference of :math:`w = u + \alpha u^3 / 3`, so w satisfies Poisson's equation, and u is the real root
    of a cubic. The residual that is checked is nevertheless that of the non-linear equations, evaluated from u.

    Constant fields: ``source`` f and ``boundary_value``, the harmonic function that is g on the boundary,
    ``(batch, x, y)``; solution: ``solution`` u, ``(batch, time, x, y)`` with one time. All are dimensionless.

    Args:
        resolution: Number of cells along x and y; any numbers from 4.
        nonlinearity: α; positive.
        n_sources: Number of Gaussians.
        amplitudes: Least and greatest absolute value of β.
        widths: Least and greatest σ.
        boundary_values: Whether g is random or 0.
        boundary_amplitude: Root mean square of the function that g is the trace of.

    Raises:
        ValueError: if there are fewer than 4 cells along an axis, or a value is not positive.

    Good values: the defaults: :math:`\alpha u^2` reaches about 1.

    Reference: ``NonlinearPoissonDataset`` of ``neuralop`` 2.0.
    """

    dataset_name: ClassVar[str] = "nonlinear_poisson"
    solver: ClassVar[str] = "finite volumes, Kirchhoff's transform; version 1"
    constant_field_names: ClassVar[tuple[str, ...]] = ("source", "boundary_value")
    boundary: ClassVar[Literal["periodic", "wall", "open"]] = "wall"
    max_residual: ClassVar[float] = 1e-9

    resolution: tuple[int, int] = (64, 64)
    _: KW_ONLY
    nonlinearity: float = 0.1
    n_sources: int = 4
    amplitudes: tuple[float, float] = (50.0, 300.0)
    widths: tuple[float, float] = (0.05, 0.15)
    boundary_values: Literal["random", "zero"] = "random"
    boundary_amplitude: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        require_positive(nonlinearity=self.nonlinearity, n_sources=float(self.n_sources))
        require_positive(amplitudes=self.amplitudes, widths=self.widths, boundary_amplitude=self.boundary_amplitude)
        require_range(amplitudes=self.amplitudes, widths=self.widths)

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Centres of the cells along each axis."""
        return {name: x.float() for name, x in cell_centres(self.resolution).items()}

    @property
    def symmetries(self) -> Sequence[str]:
        """Those of the square; its sides have their place."""
        return ("flip", "rotate")

    def solve(self, seeds: Sequence[int], device: str) -> Solution:
        """Draw a source and boundary values for each seed and solve for u."""
        source, values = self.source(seeds, device), self.boundary_data(seeds, device)
        spacing = cell_spacing(self.resolution)
        u = solve_nonlinear_diffusion(source, values, spacing, self.nonlinearity)
        return Solution(
            constant_fields={"source": source, "boundary_value": harmonic_extension(values, spacing)},
            scalars={},
            solution=u,
            residual=nonlinear_residual(u, source, values, spacing, self.nonlinearity),
        )

    def discrete_residual(
        self, solution: Tensor, constants: Mapping[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the non-linear equations' residual, source and boundary; see :meth:`SteadyPDE.discrete_residual`."""
        source, extension = named(constants, self.constant_field_names, "constant fields")
        spacing = cell_spacing((solution.shape[1], solution.shape[2]))
        values = values_of_extension(extension, spacing)
        return nonlinear_error(solution, source, values, spacing, self.nonlinearity)

    def source(self, seeds: Sequence[int], device: str = "cpu") -> Float[Tensor, "batch x y"]:
        """Evaluate f in the cell centres."""
        centres = [x.to(device) for x in cell_centres(self.resolution).values()]
        return random_gaussians(seeds, centres, self.n_sources, self.amplitudes, self.widths)

    def boundary_data(self, seeds: Sequence[int], device: str = "cpu") -> BoundaryValues:
        """Evaluate g on the faces of the boundary."""
        x, y = (torch.nn.functional.pad(axis, (1, 1)).to(device) for axis in cell_centres(self.resolution).values())
        x[-1] = y[-1] = 1
        if self.boundary_values == "zero":
            function = x.new_zeros(len(seeds), len(x), len(y))
        else:
            field = unit_gaussian_field(BOUNDARY_SMOOTHNESS, BOUNDARY_INVERSE_LENGTH)
            function = self.boundary_amplitude * field.sample(seeds, (x, y))
        return BoundaryValues(function[:, 0, 1:-1], function[:, -1, 1:-1], function[:, 1:-1, 0], function[:, 1:-1, -1])
