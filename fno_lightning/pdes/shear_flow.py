"""The periodic shear flow of The Well."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.equation import named
from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import ShearLayers
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE, Spectrum
from fno_lightning.pdes.requirements import (
    require_positive,
    require_range,
    require_resolution,
)
from fno_lightning.pdes.solvers import Budget, PeriodicBox

LOWER_EDGE = (0.0, -1.0)
LENGTHS = (1.0, 2.0)
COURANT_NUMBER = 0.75
"""Part of a cell that the velocity difference of the streams crosses in a time step."""


@dataclass(frozen=True)
class ShearFlow(PseudoSpectralPDE):
    r"""Layers of shear that roll up, in an incompressible fluid with a passive tracer.

    .. math::
        \partial_t u + u \cdot \nabla u = -\nabla p + \nu \Delta u, \quad \nabla \cdot u = 0, \quad
        \partial_t s + u \cdot \nabla s = D \Delta s, \quad \nu = 1 / Re, \quad D = \nu / Sc

    on x in [0, 1] and y in [-1, 1], periodic, from :class:`~fno_lightning.pdes.inputs.ShearLayers`, made free of
    divergence. The streams differ in velocity by 1; so lengths are in units of the width of the box, times in units of
    that width over the velocity difference. The tracer begins as the velocity of the streams.

    Solved by a Fourier-Galerkin method (2/3 rule) for the velocity, with the nonlinear term in rotational form and
    projected, and :class:`~fno_lightning.pdes.solvers.ETDRK4`. The budget is that of the kinetic energy.

    Trajectories have the layout and the regime of The Well's ``shear_flow`` (Ohana et al., NeurIPS 2024), with three
    differences: the waves have whole wavelengths (The Well's n_blobs are 2 m), widths and phases are drawn from ranges
    so that every seed gives another flow, and the pressure of the first frame is that of its velocity, not 0.

    Scalar fields: ``tracer`` s and ``pressure`` p (of zero mean), ``(batch, time, x, y)``; vector field: ``velocity``,
    ``(batch, time, x, y, 2)``; scalars: ``Schmidt`` and ``Rayleigh``, as The Well's files call the Reynolds number.

    Args:
        resolution: Grid points along x and y; square cells need twice as many along y.
        reynolds: Numbers Re > 0, one or several.
        schmidt: Numbers Sc > 0, one or several; there is a set of trajectories for each pair.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        n_layers: Numbers of layers, even; a seed draws one.
        n_waves: Numbers m of wavelengths along x; a seed draws one.
        widths: Range of the width factor w; the layers are w / (5 n) thick.
        perturbation: Amplitude of the waves.
        refinement: Points that are simulated for each that is stored, along each axis.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is not positive, a list is empty, or a number of layers is odd.

    Good values: The thinnest filaments are about (Re Sc)^-1/2 wide, and want two points: 64 x 128 for Re = 1e3,
    256 x 512 for Re = 1e4 and Sc = 1. What the grid does not resolve is refused; the largest of The Well's numbers
    need a ``refinement`` beyond its own resolution.

    Reference: Dedalus, example "Periodic shear flow"; Canuto et al., Spectral Methods (2007), section 3.3 (rotational
    form).
    """

    dataset_name: ClassVar[str] = "shear_flow"
    parameter_arguments: ClassVar[Mapping[str, str]] = {"Reynolds": "reynolds", "Schmidt": "schmidt"}
    scalar_field_names: ClassVar[tuple[str, ...]] = ("tracer", "pressure")
    vector_field_names: ClassVar[tuple[str, ...]] = ("velocity",)
    budget_name: ClassVar[str] = "kinetic energy"
    max_tail: ClassVar[float] = 1e-2

    resolution: tuple[int, int] = (256, 512)
    reynolds: float | Sequence[float] = (1e4, 5e4, 1e5, 5e5)
    schmidt: float | Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    n_frames: int = 200
    frame_interval: float = 0.1
    _: KW_ONLY
    n_layers: Sequence[int] = (2, 4)
    n_waves: Sequence[int] = (1, 2)
    widths: tuple[float, float] = (0.25, 4.0)
    perturbation: float = 0.1
    refinement: int = 1
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        require_positive(reynolds=self.reynolds, schmidt=self.schmidt)
        require_positive(perturbation=self.perturbation)
        require_range(lower=0.01, upper=4.0, widths=self.widths)
        if not self.n_layers or any(number < 2 or number % 2 for number in self.n_layers):
            raise ValueError(f"n_layers is {self.n_layers}, expected even numbers, for only then streams are periodic")
        if not self.n_waves or min(self.n_waves) < 1:
            raise ValueError(f"n_waves is {self.n_waves}, expected numbers of wavelengths, each at least 1")

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return a pair of numbers as The Well writes it, e.g. ``shear_flow_Reynolds_5e4_Schmidt_2e-1``."""
        reynolds, schmidt = (_scientific(parameters[name]) for name in ("Reynolds", "Schmidt"))
        return f"{self.dataset_name}_Reynolds_{reynolds}_Schmidt_{schmidt}"

    def scalars(self, parameters: Mapping[str, float]) -> dict[str, Tensor]:
        """Both numbers, under the names that they have in The Well's files."""
        return {"Rayleigh": torch.tensor(parameters["Reynolds"]), "Schmidt": torch.tensor(parameters["Schmidt"])}

    def parameters(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Both numbers, from the names that they have in The Well's files."""
        reynolds, schmidt = named(scalars, ("Rayleigh", "Schmidt"), "scalars")
        return {"Reynolds": reynolds, "Schmidt": schmidt}

    def state(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """Velocity and tracer; the pressure follows from the velocity."""
        return torch.stack(named(fields, ("velocity_x", "velocity_y", "tracer"), "fields"), dim=1)

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special."""
        return ("shift", "flip", "rotate")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The rectangle."""
        return PeriodicBox(self.simulated_resolution, LENGTHS, LOWER_EDGE, self.dtype, device)

    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch channel *grid"]:
        """Velocity and tracer."""
        layers = ShearLayers(self.n_layers, self.n_waves, self.widths, self.perturbation)
        stream, wave = layers.sample(seeds, *box.coordinates)
        spectrum = box.dealiasing * box.transform(torch.stack([stream, wave, stream], dim=1))
        velocity = _free_of_divergence(spectrum[:, 0], spectrum[:, 1], box)
        return box.inverse(torch.stack([*velocity, spectrum[:, 2]], dim=1))

    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Viscosity and diffusion."""
        viscosity = 1 / parameters["Reynolds"]
        momentum, tracer = viscosity * box.laplacian, viscosity / parameters["Schmidt"] * box.laplacian
        return torch.stack([momentum, momentum, tracer])

    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """The vortex force without its gradient part, and the advection of the tracer."""
        d_x, d_y = box.derivatives

        def advection(spectrum: Tensor) -> Tensor:
            u_hat, v_hat, s_hat = spectrum.unbind(dim=1)
            vorticity = d_x * v_hat - d_y * u_hat
            u, v, s, omega = box.inverse(torch.stack([u_hat, v_hat, s_hat, vorticity], dim=1)).unbind(dim=1)
            products = box.dealiasing * box.transform(torch.stack([omega * v, -omega * u, u * s, v * s], dim=1))
            force_x, force_y, flux_x, flux_y = products.unbind(dim=1)
            return torch.stack([*_free_of_divergence(force_x, force_y, box), -d_x * flux_x - d_y * flux_y], dim=1)

        return advection

    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """Limit of the advection."""
        return COURANT_NUMBER * min(length / n for length, n in zip(LENGTHS, self.simulated_resolution, strict=True))

    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """Tracer, velocity, and the pressure that keeps the velocity free of divergence."""
        d_x, d_y = box.derivatives
        u, v, s = box.inverse(spectrum).unbind(dim=1)
        stress_xx, stress_xy, stress_yy = (box.dealiasing * box.transform(product) for product in (u * u, u * v, v * v))
        source = d_x * d_x * stress_xx + 2 * d_x * d_y * stress_xy + d_y * d_y * stress_yy
        pressure = box.inverse(-box.inverse_laplacian * source)
        return Frame({"tracer": s, "pressure": pressure}, {"velocity": torch.stack([u, v], dim=-1)})

    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """Kinetic energy per area, and its dissipation."""
        velocity = spectrum[:, :2]
        energy = 0.5 * box.inner(velocity, velocity).sum(dim=1)
        return Budget(energy, box.inner(velocity, box.laplacian * velocity).sum(dim=1) / parameters["Reynolds"])


def _free_of_divergence(u: Tensor, v: Tensor, box: PeriodicBox) -> tuple[Tensor, Tensor]:
    """The part of a vector field that is no gradient; its mean stays."""
    d_x, d_y = box.derivatives
    potential = box.inverse_laplacian * (d_x * u + d_y * v)
    return u - d_x * potential, v - d_y * potential


def _scientific(number: float) -> str:
    """Shortest scientific notation, e.g. 5e4."""
    exponent = math.floor(math.log10(number) + 1e-9)
    return f"{number / 10**exponent:g}e{exponent}"
