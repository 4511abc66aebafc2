"""Steady linear equations with constant coefficients on the periodic unit square."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.equation import named
from fno_lightning.pdes.inputs import GaussianSources
from fno_lightning.pdes.requirements import require_positive, require_resolution
from fno_lightning.pdes.solvers import PeriodicBox
from fno_lightning.pdes.steady import Solution, SteadyPDE


class Coefficients(NamedTuple):
    r"""Coefficients of :math:`-\nabla \cdot (D \nabla u) + v \cdot \nabla u - \omega u = f`, each ``(batch,)``.

    All systems name them alike, so that a network can learn several of them at once.
    """

    diffusion_xx: Tensor
    diffusion_yy: Tensor
    diffusion_xy: Tensor
    velocity_x: Tensor
    velocity_y: Tensor
    omega: Tensor


@dataclass(frozen=True, kw_only=True)
class LinearPDE(SteadyPDE):
    """A linear equation whose Fourier coefficients are those of the source, each divided by the operator's symbol.

    A subclass has an argument ``resolution`` and draws sources and coefficients. The result is exact for the
    band-limited source that the grid holds.

    Args:
        diffusion: d₀.
        n_gaussians: Gaussians of a source along each axis, see :class:`~fno_lightning.pdes.GaussianSources`.
        sigma: Width of a Gaussian.
        sparsities: Shares of the Gaussians that are left out, equally likely.
    """

    diffusion: float = 0.01
    n_gaussians: int = 12
    sigma: float = 1 / 32
    sparsities: Sequence[float] = (0.2, 0.4, 0.6, 0.8)

    constant_field_names: ClassVar[tuple[str, ...]] = ("source",)
    max_residual: ClassVar[float] = 1e-10
    solver: ClassVar[str] = "Fourier division, float64; version 1"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        self._set(sparsities=tuple(map(float, self.sparsities)))
        require_positive(diffusion=self.diffusion)
        self.sources.require_resolved(self.resolution)

    @property
    def sources(self) -> GaussianSources:
        """Distribution of the sources."""
        return GaussianSources(self.n_gaussians, self.sigma, tuple(self.sparsities))

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Points i / n along x and y."""
        return dict(zip("xy", (x.float() for x in self.box().coordinates), strict=True))

    @property
    def symmetries(self) -> Sequence[str]:
        """No place is special; directions are parameters, which turn too."""
        return ("shift", "flip", "rotate")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The periodic unit square."""
        return PeriodicBox(self.resolution, (1.0, 1.0), device=device)

    @abstractmethod
    def draw(self, seeds: Sequence[int], box: PeriodicBox) -> tuple[Float[Tensor, "batch x y"], Coefficients]:
        """Return source and coefficients of each sample."""

    def discrete_residual(
        self, solution: Tensor, constants: Mapping[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return operator times solution minus source, and the source; see :meth:`SteadyPDE.discrete_residual`."""
        (source,) = named(constants, ("source",), "constant fields")
        known = dict(zip(self.scalar_names, named(scalars, self.scalar_names, "scalars"), strict=True))
        zero = torch.zeros_like(source[:, 0, 0])
        coefficients = Coefficients(*(known.get(name, zero).to(source) for name in Coefficients._fields))
        box = PeriodicBox(tuple(solution.shape[1:]), (1.0, 1.0), dtype=solution.dtype, device=str(solution.device))
        with torch.autocast(solution.device.type, enabled=False):
            return linear_error(solution, source.to(solution), coefficients, box), source

    def solve(self, seeds: Sequence[int], device: str) -> Solution:
        """Draw and solve one sample for each seed."""
        box = self.box(device)
        source, coefficients = self.draw(seeds, box)
        solution = solve_linear(source, coefficients, box)
        scalars = {name: getattr(coefficients, name) for name in self.scalar_names}
        residual = linear_residual(solution, source, coefficients, box)
        return Solution({"source": source}, scalars, solution, residual)


def linear_error(
    solution: Float[Tensor, "batch x y"],
    source: Float[Tensor, "batch x y"],
    coefficients: Coefficients,
    box: PeriodicBox,
) -> Float[Tensor, "batch x y"]:
    """Return operator times solution minus source, on the grid.

    Where the symbol vanishes, the part of the solution is to be 0, as in :func:`solve_linear`: it counts as much as
    that of the longest waves. Without it, no residual would see the mean of a solution of Poisson's equation.
    """
    factors = symbol(coefficients, box)
    longest = (2 * math.pi) ** 2 * (coefficients.diffusion_xx + coefficients.diffusion_yy) / 2
    return box.inverse(torch.where(factors == 0, longest.view(-1, 1, 1), factors) * box.transform(solution)) - source


def symbol(coefficients: Coefficients, box: PeriodicBox) -> Tensor:
    """Return the operator's factors of Fourier coefficients, ``(batch, *frequency)``; real without advection.

    Odd derivatives have no real value at the Nyquist frequency, and are 0 there.
    """
    c = Coefficients(*(value.view(-1, 1, 1) for value in coefficients))
    (kx, ky), (dx, dy) = box.wavenumbers, box.derivatives
    even = c.diffusion_xx * kx**2 + c.diffusion_yy * ky**2 - 2 * c.diffusion_xy * (dx * dy).real - c.omega
    if not bool(c.velocity_x.any() | c.velocity_y.any()):
        return even
    return torch.complex(even, c.velocity_x * dx.imag + c.velocity_y * dy.imag)


def solve_linear(
    source: Float[Tensor, "batch x y"], coefficients: Coefficients, box: PeriodicBox
) -> Float[Tensor, "batch x y"]:
    """Solve the equation; where the symbol vanishes, as for the mean without ω, the solution has no part.

    Args:
        source: f, at the points of the grid.
        coefficients: Coefficients of each sample.
        box: The grid.
    """
    factors = symbol(coefficients, box)
    vanishes = factors == 0
    return box.inverse(torch.where(vanishes, 0.0, box.transform(source) / torch.where(vanishes, 1.0, factors)))


def linear_residual(
    solution: Float[Tensor, "batch x y"],
    source: Float[Tensor, "batch x y"],
    coefficients: Coefficients,
    box: PeriodicBox,
) -> Float[Tensor, " batch"]:
    """Return the norm of operator times solution minus source over that of the source, on the grid.

    Args:
        solution: u, at the points of the grid.
        source: f, likewise.
        coefficients: Coefficients of each sample.
        box: The grid.
    """
    error = linear_error(solution, source, coefficients, box)
    norm: Tensor = torch.linalg.vector_norm(error, dim=(1, 2)) / torch.linalg.vector_norm(source, dim=(1, 2))
    return norm


def anisotropic_diffusion(
    generators: Sequence[np.random.Generator], eigenvalues: tuple[float, float]
) -> Float[Tensor, "3 batch"]:
    r"""Random tensors :math:`K = R^T \mathrm{diag}(1, e) R`: rows K_xx, K_yy and K_xy, float64 on the CPU.

    The angle of the rotation R is uniform in [0, 2π), the eigenvalue e in the given range.
    """
    e, angle = np.array([(g.uniform(*eigenvalues), g.uniform(0, 2 * np.pi)) for g in generators]).T
    cosine, sine = np.cos(angle), np.sin(angle)
    return torch.from_numpy(
        np.stack((cosine**2 + e * sine**2, sine**2 + e * cosine**2, (e - 1) * sine * cosine)),
    )
