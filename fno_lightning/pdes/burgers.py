"""The viscous Burgers equation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import GaussianRandomField
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE, Spectrum
from fno_lightning.pdes.requirements import as_sequence, require_positive, require_resolution
from fno_lightning.pdes.solvers import Budget, PeriodicBox, steepening

INITIAL_VELOCITY = GaussianRandomField(alpha=2.0, tau=5.0, sigma=25.0, lengths=(1.0,))
HIGHEST_VELOCITY = 3.0
"""What |u| hardly ever exceeds: about 4.5 standard deviations of the initial velocity; it never grows."""


@dataclass(frozen=True)
class Burgers(PseudoSpectralPDE):
    r"""The viscous Burgers equation: waves steepen into shocks, which viscosity keeps smooth.

    .. math:: \partial_t u + \partial_x \tfrac12 u^2 = \nu\, \partial_{xx} u

    on x in [0, 1], periodic, from :math:`u(x, 0) \sim \mathcal N(0, 625 (-\Delta + 25)^{-2})`. Lengths are in units of
    the period, velocities of order one.

    Scalar field: ``velocity`` u, ``(batch, time, x)``; scalar: ``viscosity``. The first frame is the initial state. Two
    frames are the operator u(0) → u(1) of the reference; more are a time series, e.g. 101 with an interval of 0.01.

    A shock of height 2U is 2ν / U wide; on N points its spectrum falls by exp(-2π²/3 · N ν / U) before the grid ends.
    With N ν = 2 and U = 1 the velocity is exact to about 1e-3. A time step is the time in which the highest velocity
    crosses 0.8 grid spacings, so it shrinks as the grid is refined.

    Args:
        resolution: N, stored points along x.
        viscosities: ν > 0, one or several; there is a set of trajectories for each.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        refinement: Simulated points for each stored point.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is impossible, or the simulated grid is too coarse for the shocks: N ν below 2.

    Good values: 0.1 (smooth), 0.01, 0.001 (shocks, on 2048 simulated points).
    Reference: Li et al. 2021, arXiv:2010.08895, section 5.1 and appendix A.3.1.
    """

    dataset_name: ClassVar[str] = "burgers"
    solver: ClassVar[str] = "Fourier, 2/3 rule, ETDRK4; version 1"
    parameter_arguments: ClassVar[Mapping[str, str]] = {"viscosity": "viscosities"}
    scalar_field_names: ClassVar[tuple[str, ...]] = ("velocity",)
    pseudo_fields: ClassVar[Sequence[str]] = ("velocity",)
    max_tail: ClassVar[float] = 1e-6

    resolution: tuple[int] = (1024,)
    viscosities: float | Sequence[float] = (0.1, 0.01, 0.001)
    n_frames: int = 2
    frame_interval: float = 1.0
    _: KW_ONLY
    refinement: int = 2
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=1)
        require_positive(viscosities=self.viscosities)
        viscosity = min(as_sequence(self.viscosities))
        needed = math.ceil(2 / viscosity - 1e-9)
        if self.simulated_resolution[0] < needed:
            raise ValueError(
                f"resolution {self.resolution[0]} times refinement {self.refinement} is too coarse for the shocks at "
                f"viscosity {viscosity:g}, which need at least {needed} points; raise refinement to "
                f"{math.ceil(needed / self.resolution[0])}"
            )

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special; the mirror image of u is -u."""
        return ("shift", "flip")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The simulated points of the unit interval."""
        return PeriodicBox(self.simulated_resolution, (1.0,), dtype=self.dtype, device=device)

    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch 1 x"]:
        """Draws of the Gaussian random field."""
        return INITIAL_VELOCITY.sample(seeds, box.coordinates)[:, None]

    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Viscosity."""
        return parameters["viscosity"] * box.laplacian

    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """Steepening."""
        return steepening(box)

    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """The fastest wave crosses 0.8 grid spacings in a step."""
        return 0.8 / (self.simulated_resolution[0] * HIGHEST_VELOCITY)

    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """The velocity."""
        return Frame({"velocity": box.inverse(spectrum)[:, 0]}, {})

    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """Kinetic energy ½⟨u²⟩ and its dissipation ⟨u L u⟩."""
        u = spectrum[:, 0]
        return Budget(box.inner(u, u) / 2, box.inner(u, self.linear(box, parameters) * u))
