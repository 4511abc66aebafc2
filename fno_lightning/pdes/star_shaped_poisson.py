"""Poisson's equation, linear and not, on random star-shaped domains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.point_problem import PointProblem, PointSolution
from fno_lightning.pdes.requirements import require_at_least, require_not_negative, require_positive, require_range
from fno_lightning.pdes.solvers.harmonic import BoundaryCurve
from fno_lightning.pdes.solvers.kirchhoff_transform import inverse_kirchhoff, kirchhoff

N_NODES = 512
"""Nodes of a boundary: errors are below 1e-9 with the largest ``deformation``."""

MOST_DEFORMATION = 0.2
QUADRATURE_NODES = 40
N_ANGLES = 4
"""Lowest angular frequencies of the boundary values."""


class Inputs(NamedTuple):
    """What decides a solution.

    Attributes:
        shape: c₁ and c₂, ``(batch, 2)``.
        amplitudes: β of each Gaussian, ``(batch, source)``.
        centres: μ of each, ``(batch, source, 2)``.
        widths: σ of each, ``(batch, source)``.
        cosines: Coefficients of the boundary values, ``(batch, angle)``, from frequency 0.
        sines: The same of the sines.
    """

    shape: Tensor
    amplitudes: Tensor
    centres: Tensor
    widths: Tensor
    cosines: Tensor
    sines: Tensor


@dataclass(frozen=True)
class StarShapedPoisson(PointProblem):
    r"""Diffusion that grows with the solution, on random star-shaped domains with scattered points.

    .. math:: \nabla \cdot \big((1 + \alpha u^2) \nabla u\big) = f \text{ for } r < R(\theta), \qquad
              R(\theta) = 1 + c_1 \cos 4\theta + c_2 \cos 8\theta

    with :math:`f = \sum_i \beta_i \exp(-|x - \mu_i|^2 / 2 \sigma_i^2)` and u = g on the boundary, a random
    trigonometric polynomial in θ. The form of ``NonlinearPoissonDataset`` of neuralop 2.0, whose Gaussians have
    σ² = 1/2; α = 0 is Poisson's equation.

    Kirchhoff's transform w = u + α u³ / 3 satisfies Δw = f. Each Gaussian has a particular solution in closed form,
    :math:`\tfrac{1}{2} \beta \sigma^2\, \mathrm{Ein}(|x - \mu|^2 / 2 \sigma^2)`, and what remains is harmonic: boundary
    integrals find it at any point to ten digits.

    Constant fields: ``source`` f; ``boundary_value``, g at the angle of the point; ``boundary_distance``, R(θ) - r.
    Field: ``solution`` u. The points are uniformly distributed in the domain, and their number is random.

    Args:
        n_points: Least and greatest number of points.
        nonlinearity: α; 0: linear.
        deformation: Greatest absolute value of c₁ and of c₂, at most 0.2.
        n_sources: Number of Gaussians.
        amplitudes: Least and greatest absolute value of β.
        widths: Least and greatest σ.
        boundary_amplitude: Root mean square of g.

    Raises:
        ValueError: if a value is out of range.

    Good values: the defaults: :math:`\alpha u^2` reaches about 1.
    """

    dataset_name: ClassVar[str] = "star_shaped_poisson"
    constant_field_names: ClassVar[tuple[str, ...]] = ("source", "boundary_value", "boundary_distance")
    field_names: ClassVar[tuple[str, ...]] = ("solution",)

    n_points: tuple[int, int] = (400, 800)
    nonlinearity: float = 0.1
    deformation: float = 0.2
    n_sources: int = 3
    amplitudes: tuple[float, float] = (10.0, 40.0)
    widths: tuple[float, float] = (0.2, 0.5)
    boundary_amplitude: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, n_points=min(self.n_points), n_sources=self.n_sources)
        require_positive(amplitudes=self.amplitudes, widths=self.widths)
        require_not_negative(
            nonlinearity=self.nonlinearity, deformation=self.deformation, boundary_amplitude=self.boundary_amplitude
        )
        require_range(amplitudes=self.amplitudes, widths=self.widths)
        if len(self.n_points) != 2 or self.n_points[0] > self.n_points[1]:
            raise ValueError(f"n_points is the least and the greatest number, got {self.n_points}")
        if self.deformation > MOST_DEFORMATION:
            raise ValueError(f"deformation is {self.deformation}, expected at most {MOST_DEFORMATION}")

    @property
    def box(self) -> tuple[tuple[float, float], ...]:
        """The square around the largest domain."""
        reach = 1 + 2 * self.deformation
        return ((-reach, reach),) * 2

    @property
    def most_points(self) -> int:
        """Largest number of points."""
        return self.n_points[1]

    def solve(self, seeds: Sequence[int]) -> list[PointSolution]:
        """Draw a domain, a source, boundary values and points for each seed, and solve for u."""
        return [self._solve(np.random.default_rng(seed)) for seed in seeds]

    def _solve(self, generator: np.random.Generator) -> PointSolution:
        inputs = self.draw(generator)
        places = _places(generator, inputs.shape, int(generator.integers(*self.n_points, endpoint=True)))
        u = self.solution(inputs, places[None])[0]
        radius, angle = torch.linalg.vector_norm(places, dim=1), torch.atan2(places[:, 1], places[:, 0])
        reach = radius_of(inputs.shape, angle[None])[0]
        around = radius_of(inputs.shape, _angles(1)).square()
        area = math.pi * float(around.mean())
        given = (source(inputs, places[None])[0], boundary_value(inputs, angle[None])[0], reach - radius)
        return PointSolution(
            places.float(),
            torch.full((len(places),), area / len(places)),
            {name: part.float() for name, part in zip(self.constant_field_names, given, strict=True)},
            {"solution": u.float()},
        )

    def draw(self, generator: np.random.Generator) -> Inputs:
        """Draw a domain, sources and boundary values; a batch of one."""
        n = self.n_sources
        decay = 1 / (1 + np.arange(N_ANGLES))
        scale = self.boundary_amplitude * decay / math.sqrt((decay**2).sum())
        angle = generator.uniform(0, 2 * math.pi, n)
        centres = 0.6 * np.sqrt(generator.uniform(0, 1, n))[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        parts = (
            generator.uniform(-self.deformation, self.deformation, 2),
            generator.choice([-1, 1], n) * generator.uniform(*self.amplitudes, n),
            centres,
            generator.uniform(*self.widths, n),
            scale * generator.normal(size=N_ANGLES),
            scale * generator.normal(size=N_ANGLES),
        )
        return Inputs(*(torch.from_numpy(np.asarray(part, dtype=np.float64))[None] for part in parts))

    def solution(self, inputs: Inputs, places: Float[Tensor, "batch place 2"]) -> Float[Tensor, "batch place"]:
        """Return u at places within the domains, float64."""
        angles = _angles(len(places))
        nodes = torch.polar(radius_of(inputs.shape, angles), angles)
        on_boundary = torch.view_as_real(nodes)
        values = boundary_value(inputs, angles)
        values = kirchhoff(values, self.nonlinearity) - particular_solution(inputs, on_boundary)
        w = BoundaryCurve(nodes).harmonic(values, torch.complex(*places.double().unbind(dim=-1)))
        w = w + particular_solution(inputs, places)
        return inverse_kirchhoff(w, self.nonlinearity) if self.nonlinearity > 0 else w


def radius_of(shape: Float[Tensor, "batch 2"], angles: Float[Tensor, "batch angle"]) -> Float[Tensor, "batch angle"]:
    """Return R of the angles."""
    return 1 + shape[:, :1] * torch.cos(4 * angles) + shape[:, 1:] * torch.cos(8 * angles)


def source(inputs: Inputs, places: Float[Tensor, "batch place 2"]) -> Float[Tensor, "batch place"]:
    """Return f at places."""
    exponent = _distances(inputs, places)
    return (inputs.amplitudes[:, None] * torch.exp(-exponent)).sum(dim=-1)


def boundary_value(inputs: Inputs, angles: Float[Tensor, "batch angle"]) -> Float[Tensor, "batch angle"]:
    """Return g at angles."""
    phase = angles[..., None] * torch.arange(N_ANGLES, dtype=angles.dtype)
    waves = inputs.cosines[:, None] * torch.cos(phase) + inputs.sines[:, None] * torch.sin(phase)
    return waves.sum(dim=-1)


def particular_solution(inputs: Inputs, places: Float[Tensor, "batch place 2"]) -> Float[Tensor, "batch place"]:
    r"""Return a function whose Laplacian is f.

    :math:`\mathrm{Ein}(z) = \int_0^1 (1 - e^{-z t}) / t\, dt` is an integral of an entire function, by Gauss's rule.
    """
    exponent = _distances(inputs, places)
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    t = torch.from_numpy((nodes + 1) / 2)
    integrand = -torch.expm1(-exponent[..., None] * t) / t
    integral = (integrand * torch.from_numpy(weights / 2)).sum(dim=-1)
    return (inputs.amplitudes[:, None] * inputs.widths[:, None].square() / 2 * integral).sum(dim=-1)


def _distances(inputs: Inputs, places: Tensor) -> Float[Tensor, "batch place source"]:
    """Return the exponent of each Gaussian at each place, without its sign."""
    squares = (places.double()[:, :, None] - inputs.centres[:, None]).square().sum(dim=-1)
    return squares / (2 * inputs.widths[:, None].square())


def _angles(n_samples: int) -> Float[Tensor, "batch node"]:
    return (2 * math.pi / N_NODES * torch.arange(N_NODES, dtype=torch.float64)).expand(n_samples, -1)


def _places(generator: np.random.Generator, shape: Tensor, n_points: int) -> Float[Tensor, "point 2"]:
    """Draw points that are uniformly distributed in a domain."""
    found = torch.empty(0, 2, dtype=torch.float64)
    reach = 1 + float(shape.abs().sum())
    while len(found) < n_points:
        drawn = torch.from_numpy(generator.uniform(-reach, reach, (2 * n_points, 2)))
        angle = torch.atan2(drawn[:, 1], drawn[:, 0])
        inside = torch.linalg.vector_norm(drawn, dim=1) < radius_of(shape, angle[None])[0]
        found = torch.cat((found, drawn[inside]))
    return found[:n_points]
