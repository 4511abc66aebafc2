"""The Kuramoto-Sivashinsky equation."""

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
from fno_lightning.pdes.requirements import require_not_negative, require_positive, require_resolution
from fno_lightning.pdes.solvers import Budget, PeriodicBox, steepening

HIGHEST_VELOCITY = 4.0
"""What |u| hardly ever exceeds on the attractor."""
LARGEST_SPACING = 0.6
"""Coarsest grid: its dealiased wavenumbers end at 3.5, with 1e-5 of the variance in the highest tenth of them."""


@dataclass(frozen=True)
class KuramotoSivashinsky(PseudoSpectralPDE):
    r"""The Kuramoto-Sivashinsky equation: long waves grow, short ones decay, and steepening between them is chaotic.

    .. math:: \partial_t u + \partial_x \tfrac12 u^2 + \partial_x^2 u + \partial_x^4 u = 0

    on x in [0, L], periodic, for u without mean. It starts from a random field of variance and correlation length one,
    and is stored from the time ``warm_up`` on, when it has reached the attractor: ⟨u²⟩ ≈ 1.7 for large L.

    Scalar field: ``velocity`` u, ``(batch, time, x)``; everything is dimensionless.

    Two solutions part as exp(0.09 t) for large L (0.05 for L = 22): rounding errors, which depend on the device and on
    the size of the batch, reach the first digit after 400 time units in float64, and after 170 in float32.

    Args:
        resolution: N, stored points along x.
        length: L, period; up to 4π every solution is a steady or travelling wave, chaos is the rule from about 50 on.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        warm_up: Time before the first frame.
        refinement: Simulated points for each stored point.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is impossible, or simulated points are more than 0.6 apart.

    Good values: length 22 with 64 points, 64 with 128 points, 128 with 256 points.
    Reference: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 4; Lyapunov exponents: Edson et al., ANZIAM
    J. 61 (2019), arXiv:1902.09651.
    """

    dataset_name: ClassVar[str] = "kuramoto_sivashinsky"
    solver: ClassVar[str] = "Fourier, 2/3 rule, ETDRK4; version 1"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("velocity",)
    pseudo_fields: ClassVar[Sequence[str]] = ("velocity",)
    max_tail: ClassVar[float] = 1e-5

    resolution: tuple[int] = (128,)
    length: float = 64.0
    n_frames: int = 201
    frame_interval: float = 1.0
    _: KW_ONLY
    warm_up: float = 100.0
    refinement: int = 1
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=1)
        require_positive(length=self.length)
        require_not_negative(warm_up=self.warm_up)
        needed = math.ceil(self.length / LARGEST_SPACING)
        if self.simulated_resolution[0] < needed:
            raise ValueError(
                f"resolution {self.resolution[0]} times refinement {self.refinement} is too coarse for length "
                f"{self.length:g}, which needs at least {needed} points; raise either of the two"
            )

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special; the mirror image of u is -u."""
        return ("shift", "flip")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The simulated points of [0, L]."""
        return PeriodicBox(self.simulated_resolution, (self.length,), dtype=self.dtype, device=device)

    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch 1 x"]:
        """Draws of a Gaussian random field of variance one and correlation length one."""
        sigma = math.sqrt(6.4 / self.length)
        field = GaussianRandomField(alpha=4.0, tau=1.0, sigma=sigma, lengths=(self.length,))
        return field.sample(seeds, box.coordinates)[:, None]

    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Growth of long waves, decay of short ones: k² - k⁴."""
        return -box.laplacian - box.laplacian.square()

    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """Steepening."""
        return steepening(box)

    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """The fastest wave crosses 0.4 grid spacings in a step, and no step is longer than 0.1."""
        return min(0.1, 0.4 * self.length / (self.simulated_resolution[0] * HIGHEST_VELOCITY))

    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """The velocity."""
        return Frame({"velocity": box.inverse(spectrum)[:, 0]}, {})

    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """Energy ½⟨u²⟩, its production ⟨(∂u)²⟩ and its dissipation ⟨(∂²u)²⟩."""
        u = spectrum[:, 0]
        return Budget(box.inner(u, u) / 2, box.inner(u, self.linear(box, parameters) * u))
