"""The Gray-Scott reaction-diffusion equations of The Well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import initial_concentrations
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE, Spectrum
from fno_lightning.pdes.requirements import require_positive, require_resolution
from fno_lightning.pdes.solvers import Budget, PeriodicBox

LOWER_EDGE, LENGTH = -1.0, 2.0

PATTERNS = {
    (0.014, 0.054): "gliders",
    (0.098, 0.057): "bubbles",
    (0.029, 0.057): "maze",
    (0.058, 0.065): "worms",
    (0.018, 0.051): "spirals",
    (0.030, 0.062): "spots",
}
"""What The Well calls the patterns of its pairs of feed and kill rate."""


@dataclass(frozen=True)
class GrayScott(PseudoSpectralPDE):
    r"""Two chemical species that diffuse and react, and form patterns.

    .. math::
        \partial_t A &= \delta_A \Delta A - A B^2 + F (1 - A), \\
        \partial_t B &= \delta_B \Delta B + A B^2 - (F + k) B

    on the periodic square [-1, 1]². Species B turns A into more of itself; A is fed at the rate F, and B is removed at
    the rate F + k. All is dimensionless; the reaction takes a time of about 1.

    Solved by a Fourier method with the 2/3 rule for each of the two products, and
    :class:`~fno_lightning.pdes.solvers.ETDRK4`. Trajectories have the layout and the parameters of The Well's
    ``gray_scott_reaction_diffusion`` (Ohana et al., NeurIPS 2024), and initial states of the same two kinds: most
    settle to patterns that are steady or move slowly, and some die out to A = 1, B = 0.

    Scalar fields: the concentrations ``A`` and ``B``, ``(batch, time, x, y)``; scalars: ``F`` and ``k``. The first
    frame is the initial state. The budget is that of the total A + B.

    Args:
        resolution: N, grid points along x and y.
        rates: Pairs (F, k), one or several; there is a set of trajectories for each.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        diffusivity_a: δ_A > 0.
        diffusivity_b: δ_B > 0.
        start: Initial states: 10 to 100 ``"gaussians"`` for each species, a random ``"fourier"`` series, where B may
            begin below zero as it does in The Well, or ``"both"`` kinds, which the seed decides.
        time_step: Longest time step Δt.
        refinement: Points that are simulated for each that is stored, along each axis.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is not positive, ``rates`` is empty or not of pairs, or there are fewer than 4 points.

    Good values: The Well's 128² points and Δt = 1. Half as many points along each axis need diffusivities four times as
    large: the same patterns in a square half as wide.

    Reference: Pearson, Science 261 (1993), eqs. 2; the Gaussians and the series are those of the generator of The
    Well's data, github.com/danfortunato/spectral-gray-scott.
    """

    dataset_name: ClassVar[str] = "gray_scott_reaction_diffusion"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("A", "B")
    budget_name: ClassVar[str] = "A + B"
    max_tail: ClassVar[float] = 0.03

    resolution: tuple[int, int] = (128, 128)
    rates: tuple[float, float] | Sequence[tuple[float, float]] = tuple(PATTERNS)
    n_frames: int = 1001
    frame_interval: float = 10.0
    _: KW_ONLY
    diffusivity_a: float = 2e-5
    diffusivity_b: float = 1e-5
    start: Literal["gaussians", "fourier", "both"] = "both"
    time_step: float = 1.0
    refinement: int = 1
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        pairs: Any = (self.rates,) if any(isinstance(rate, Real) for rate in self.rates) else self.rates
        self._set(rates=tuple((*map(float, pair),) for pair in pairs))
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"rates is {self.rates}, expected at least one pair (F, k)")
        require_positive(rates=[rate for pair in pairs for rate in pair])
        require_positive(diffusivity_a=self.diffusivity_a, diffusivity_b=self.diffusivity_b)
        require_positive(time_step=self.time_step)

    @property
    def parameter_sets(self) -> Sequence[Mapping[str, float]]:
        """One pair of feed and kill rate for each set of trajectories."""
        pairs = cast(Sequence[tuple[float, float]], self.rates)
        return [{"F": feed, "k": kill} for feed, kill in pairs]

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return the pair of rates with the name of its pattern, as in The Well."""
        feed, kill = parameters["F"], parameters["k"]
        pattern = f"_{PATTERNS[feed, kill]}" if (feed, kill) in PATTERNS else ""
        return f"{self.dataset_name}{pattern}_F_{feed:g}_k_{kill:g}"

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special."""
        return ("shift", "flip", "rotate")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The square."""
        return PeriodicBox(self.simulated_resolution, (LENGTH, LENGTH), (LOWER_EDGE, LOWER_EDGE), self.dtype, device)

    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch channel *grid"]:
        """A and B, as truncated series."""
        return box.inverse(box.dealiasing * box.transform(initial_concentrations(self.start, seeds, box)))

    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Diffusion, and what flows off."""
        feed, kill = parameters["F"], parameters["k"]
        return torch.stack(
            [self.diffusivity_a * box.laplacian - feed, self.diffusivity_b * box.laplacian - feed - kill]
        )

    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """The reaction, and the feed."""
        feed = parameters["F"] * box.resolution[0] * box.resolution[1]

        def reaction_and_feed(spectrum: Tensor) -> Tensor:
            a, b = box.inverse(box.dealiasing * spectrum).unbind(dim=1)
            b_squared = box.inverse(box.dealiasing * box.transform(b * b))
            reaction = box.dealiasing * box.transform(a * b_squared)
            change = torch.stack([-reaction, reaction], dim=1)
            change[:, 0, 0, 0] += feed
            return change

        return reaction_and_feed

    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """Δt; the reaction is not stiff."""
        return self.time_step

    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """Both concentrations."""
        a, b = box.inverse(spectrum).unbind(dim=1)
        return Frame({"A": a, "B": b}, {})

    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """The mean of A + B, and what is fed less what is removed: the reaction and diffusion keep it."""
        a, b = (spectrum[:, :, 0, 0].real / (box.resolution[0] * box.resolution[1])).unbind(dim=1)
        feed, kill = parameters["F"], parameters["k"]
        return Budget(a + b, feed * (1 - a) - (feed + kill) * b)
