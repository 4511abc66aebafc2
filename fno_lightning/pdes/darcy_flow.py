"""Darcy flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fno_lightning.class_path import public_path
from fno_lightning.pdes.equation import named
from fno_lightning.pdes.inputs import Permeability, ThresholdedGaussian
from fno_lightning.pdes.requirements import require_positive, require_resolution
from fno_lightning.pdes.solvers import (
    cell_centres,
    cell_spacing,
    face_conductances,
    harmonic_faces,
    net_outflow,
    solve_diffusion,
)
from fno_lightning.pdes.steady import Solution, SteadyPDE


@dataclass(frozen=True)
class DarcyFlow(SteadyPDE):
    r"""Flow through a porous medium: from its random permeability to the pressure.

    .. math:: -\nabla \cdot (k \nabla p) = f

    on [0, 1]², p = 0 on the boundary, f constant. Values are those in the centres (i + 1/2) / n of cells, so that grids
    of different resolution describe the same domain. Finite volumes with harmonic means of k on the faces conserve the
    flow exactly (:func:`~fno_lightning.pdes.solvers.solve_diffusion`). A sample is refused unless its relative residual
    is below 1e-7 and what flows out through the boundary is the integral of f, to 1e-7 as well.

    Constant field: ``permeability`` k, ``(batch, x, y)``; solution: ``pressure`` p, ``(batch, time, x, y)`` with one
    time. Both are dimensionless.

    Args:
        resolution: Number of cells along x and y; any numbers from 4.
        permeability: Family of the permeabilities; those of the FNO paper unless given.
        source: f; positive.

    Raises:
        ValueError: if there are fewer than 4 cells along an axis, or the source is not positive.

    Good values: 64 x 64 cells; 421 x 421 are the finest of the FNO paper.

    Reference: Li et al. 2021, arXiv:2010.08895, section 5.2 and appendix A.3.2.
    """

    dataset_name: ClassVar[str] = "darcy_flow"
    solver: ClassVar[str] = "finite volumes, harmonic means; version 1"
    constant_field_names: ClassVar[tuple[str, ...]] = ("permeability",)
    solution_name: ClassVar[str] = "pressure"
    boundary: ClassVar[Literal["periodic", "wall", "open"]] = "wall"
    max_residual: ClassVar[float] = 1e-7
    max_iterations: ClassVar[int] = 200
    """Iterations after which a sample is refused."""

    resolution: tuple[int, int] = (64, 64)
    _: KW_ONLY
    permeability: Permeability = field(default_factory=ThresholdedGaussian)
    source: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        require_positive(source=self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """Every plain value that the samples depend on: the permeability by its class and arguments."""
        family: Any = self.permeability
        return super().settings | {"permeability": {"class": public_path(type(family)), **asdict(family)}}

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Centres of the cells along each axis."""
        return {name: x.float() for name, x in cell_centres(self.resolution).items()}

    def discrete_residual(
        self, solution: Tensor, constants: Mapping[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return each cell's outflow per area minus f, and f; see :meth:`SteadyPDE.discrete_residual`.

        p = 0 on the boundary is a part of it.
        """
        (permeability,) = named(constants, ("permeability",), "constant fields")
        h_x, h_y = cell_spacing((solution.shape[1], solution.shape[2]))
        outflow, _ = net_outflow(face_conductances(harmonic_faces(permeability), (h_x, h_y)), solution)
        source = torch.full_like(outflow, self.source)
        return outflow / (h_x * h_y) - source, source

    @property
    def symmetries(self) -> Sequence[str]:
        """Those of the square; its sides have their place."""
        return ("flip", "rotate")

    def solve(self, seeds: Sequence[int], device: str) -> Solution:
        """Draw a permeability for each seed and solve for the pressure."""
        centres = [x.to(device) for x in cell_centres(self.resolution).values()]
        permeability = self.permeability.sample(seeds, centres)
        solved = solve_diffusion(
            harmonic_faces(permeability),
            torch.full_like(permeability, self.source),
            cell_spacing(self.resolution),
            max_iterations=self.max_iterations,
        )
        return Solution(
            constant_fields={"permeability": permeability},
            scalars={},
            solution=solved.p,
            residual=torch.maximum(solved.residual, solved.imbalance),
        )
