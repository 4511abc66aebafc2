"""What equations in time on a periodic box share: a pseudo-spectral method with exponential time differencing."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.budget import Budget as Budget
from fno_lightning.pdes.budget import BudgetAccount
from fno_lightning.pdes.etdrk4 import ETDRK4
from fno_lightning.pdes.periodic_box import PeriodicBox

Spectrum = Complex[Tensor, "batch channel *frequency"]
"""Fourier coefficients of the state."""


class Frame(NamedTuple):
    """The state of every trajectory at one time, in physical space.

    Attributes:
        scalar_fields: Scalar fields by name, ``(batch, *grid)``.
        vector_fields: Vector fields by name, ``(batch, *grid, n_dims)``.
    """

    scalar_fields: dict[str, Tensor]
    vector_fields: dict[str, Tensor]


class SpectralEvolution(PDE):
    r"""An equation :math:`\partial_t u = L u + N(u)` on a periodic box, with L diagonal in Fourier space.

    A subclass is a frozen dataclass with the arguments ``resolution``, ``n_frames``, ``frame_interval`` and
    ``precision``; it states L, N, the initial state, how long a time step may be, and one budget. Time steps are those
    of :class:`~fno_lightning.pdes.etdrk4.ETDRK4`. Every simulation is refused unless it stays finite and its budget
    closes: the change of the amount must equal the integral of the rate.
    """

    resolution: tuple[int, ...]
    n_frames: int
    frame_interval: float
    precision: Literal["float32", "float64"]

    scalar_field_names: ClassVar[tuple[str, ...]] = ()
    vector_field_names: ClassVar[tuple[str, ...]] = ()
    budget_name: ClassVar[str] = "energy"
    budget_tolerance: ClassVar[float] = 1e-3
    """Largest error of the budget, relative to the amount and all that was gained and lost."""

    @abstractmethod
    def box(self, device: str = "cpu") -> PeriodicBox:
        """The grid, in the precision of the simulation."""

    @abstractmethod
    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch channel *grid"]:
        """The state to start from, in physical space; a seed means the same functions on every grid."""

    @abstractmethod
    def linear(self, box: PeriodicBox, parameters: Mapping[str, float]) -> Tensor:
        """L, shaped to multiply a spectrum."""

    @abstractmethod
    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float]) -> Callable[[Tensor], Tensor]:
        """N, from spectrum to spectrum, free of aliasing errors."""

    @abstractmethod
    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """Upper bound of the time step."""

    @abstractmethod
    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """The fields that are stored, in physical space."""

    @abstractmethod
    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """A quantity, and its rate of change by the equation's terms."""

    @property
    def warm_up(self) -> float:
        """Time that is simulated before the first frame."""
        return 0.0

    @property
    def schema(self) -> Trajectories:
        """One trajectory without its values."""
        shape = (1, self.n_frames, *self.resolution)
        scalar, vector = (torch.empty(s, device="meta") for s in (shape, (*shape, len(self.resolution))))
        fields = dict.fromkeys(self.scalar_field_names, scalar), dict.fromkeys(self.vector_field_names, vector)
        return self._trajectories(self.parameter_sets[0], *fields)

    @torch.no_grad()
    def simulate(
        self,
        parameters: Mapping[str, float],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Trajectories:
        """Simulates one trajectory for each seed; see :meth:`PDE.simulate`.

        Raises:
            FloatingPointError: if a solution stops being finite or its budget does not close; names the seeds.
        """
        if not seeds:
            raise ValueError("there is nothing to simulate: seeds is empty; give one seed for each trajectory")
        box = self.box(device)
        run = _Run(self, box, parameters, box.transform(self.initial_state(seeds, box)))
        run.advance(self.warm_up)
        frames: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        for number in range(self.n_frames):
            if number > 0:
                run.advance(self.frame_interval)
            self._require_finite(run.spectrum, seeds, self.warm_up + number * self.frame_interval)
            for store, fields in zip(frames, self.frame(run.spectrum, box, parameters), strict=True):
                for name, values in fields.items():
                    if name not in store:
                        store[name] = values.new_empty(len(seeds), self.n_frames, *values.shape[1:], dtype=torch.float)
                    store[name][:, number] = values
            if progress is not None:
                progress((number + 1) / self.n_frames)
        self._require_balanced(run.account.imbalance, seeds)
        return self._trajectories(parameters, *frames)

    def scalars(self, parameters: Mapping[str, float]) -> dict[str, Tensor]:
        """Parameters that are stored with the trajectories, by name."""
        return {name: torch.tensor(float(value)) for name, value in parameters.items()}

    def _require_finite(self, spectrum: Tensor, seeds: Sequence[int], time: float) -> None:
        finite = spectrum.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            broken = [seeds[i] for i in (~finite).nonzero()[:, 0].tolist()]
            raise FloatingPointError(
                f"{type(self).__name__}: the simulation of seeds {broken} is not finite at time {time:.4g}; nothing of "
                "it is kept. Choose a finer grid, a shorter time step or more diffusion"
            )

    def _require_balanced(self, imbalance: Tensor, seeds: Sequence[int]) -> None:
        closes = imbalance <= self.budget_tolerance
        if not bool(closes.all()):
            broken = (~closes).nonzero()[:, 0].tolist()
            raise FloatingPointError(
                f"{type(self).__name__}: the {self.budget_name} budget of seeds {[seeds[i] for i in broken]} does not "
                f"close: relative errors {[f'{imbalance[i].item():.2g}' for i in broken]}, allowed "
                f"{self.budget_tolerance:g}; nothing of it is kept. Choose a finer grid, a shorter time step or more "
                "diffusion"
            )

    def _trajectories(
        self, parameters: Mapping[str, float], scalar_fields: dict[str, Tensor], vector_fields: dict[str, Tensor]
    ) -> Trajectories:
        coordinates = dict(zip("xyz", (x.float() for x in self.box().coordinates), strict=False))
        return Trajectories(
            time=torch.arange(self.n_frames) * self.frame_interval,
            coordinates=coordinates,
            boundaries=dict.fromkeys(coordinates, ("periodic", "periodic")),
            scalars=self.scalars(parameters),
            scalar_fields=scalar_fields,
            vector_fields=vector_fields,
        )


class _Run:
    """A batch of trajectories on their way, and the account of their budget."""

    def __init__(
        self, pde: SpectralEvolution, box: PeriodicBox, parameters: Mapping[str, float], spectrum: Tensor
    ) -> None:
        self.spectrum = spectrum
        self._budget: Callable[[Tensor], Budget] = lambda state: pde.budget(state, box, parameters)
        self._longest_step = pde.longest_step(parameters)
        self._linear = pde.linear(box, parameters)
        self._nonlinear = pde.nonlinear(box, parameters)
        self._steppers: dict[float, ETDRK4] = {}
        self.account = BudgetAccount(self._budget(spectrum))

    def advance(self, duration: float) -> None:
        """Advances by equal steps, none longer than allowed."""
        n_steps = math.ceil(duration / self._longest_step - 1e-9)
        if n_steps < 1:
            return
        dt = duration / n_steps
        if dt not in self._steppers:
            self._steppers[dt] = ETDRK4(self._linear, self._nonlinear, dt)
        stepper = self._steppers[dt]
        for _ in range(n_steps):
            self.spectrum = stepper.step(self.spectrum)
            self.account.add(self._budget(self.spectrum), dt)
