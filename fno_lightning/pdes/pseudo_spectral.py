"""The family of equations on a periodic box: a pseudo-spectral method with exponential time differencing."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from fno_lightning.derivatives import resampling_matrix
from fno_lightning.pdes.base import PDE
from fno_lightning.pdes.collocation import exponential_residual
from fno_lightning.pdes.evolution import EvolutionPDE, Frame
from fno_lightning.pdes.requirements import broken_seeds, require_at_least
from fno_lightning.pdes.solvers import Budget, BudgetAccount, EqualSteps, PeriodicBox

STEPS_BETWEEN_TAILS = 10
"""Time steps between two evaluations of the spectral tail."""
STEPS_WITHOUT_BUDGET = 10
"""At the start: rough initial data lose their finest scales in them, faster than the trapezoidal rule can follow."""

Spectrum = Complex[Tensor, "batch channel *frequency"]
"""Fourier coefficients of the state."""


class PseudoSpectralPDE(EvolutionPDE):
    r"""An equation :math:`\partial_t u = L u + N(u)` on a periodic box, with L diagonal in Fourier space.

    A subclass is a frozen dataclass with the arguments ``resolution``, ``n_frames``, ``frame_interval`` and
    ``precision``; it states L, N, the initial state, how long a time step may be, and one budget. With an argument
    ``refinement`` it is simulated on a finer grid, whose points are stored at ``resolution``. Time steps are those of
    :class:`~fno_lightning.pdes.solvers.ETDRK4`. Every simulation is refused unless it stays finite, its budget closes
    (the change of the amount must equal the integral of the rate), and its spectral tail, the share of the variance in
    the highest frequencies, stays small. A budget does not show the latter: that of a truncated Fourier series closes
    on any grid.
    """

    refinement: int = 1

    budget_name: ClassVar[str] = "energy"
    budget_tolerance: ClassVar[float] = 1e-3
    """Largest error of the budget, relative to the amount and all that was gained and lost."""
    max_tail: ClassVar[float] = math.inf
    """Largest spectral tail: share of the variance in the highest tenth of the frequencies, see
    :meth:`~fno_lightning.pdes.solvers.PeriodicBox.tail`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, refinement=self.refinement)

    @abstractmethod
    def box(self, device: str = "cpu") -> PeriodicBox:
        """Return the grid, in the precision of the simulation."""

    @abstractmethod
    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch channel *grid"]:
        """Return the state to start from, in physical space; a seed means the same functions on every grid."""

    @abstractmethod
    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Return L, shaped to multiply a spectrum."""

    @abstractmethod
    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """Return N, from spectrum to spectrum, free of aliasing errors."""

    @abstractmethod
    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """Return an upper bound of the time step."""

    @abstractmethod
    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """Return the fields that are stored, in physical space.

        Args:
            spectrum: Fourier coefficients of the state.
            box: The grid.
            parameters: One entry of :attr:`parameter_sets`.
        """

    @abstractmethod
    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """Return a quantity, and its rate of change by the equation's terms.

        Args:
            spectrum: Fourier coefficients of the state.
            box: The grid.
            parameters: One entry of :attr:`parameter_sets`.
        """

    def _between_frames(
        self, states: Tensor, parameters: Mapping[str, Tensor], time_step: float, n_known: int
    ) -> Tensor:
        """Return the residual, L integrated exactly: :func:`~fno_lightning.pdes.collocation.exponential_residual`.

        As in the simulation, products are free of aliasing errors: of a state that is stored as it was simulated by the
        2/3 rule, with ``refinement`` on half again as many points, and cut to the waves of the state.
        """
        own = self.box()
        grid = tuple(states.shape[-len(self.resolution) :])
        fine = grid if self.refinement == 1 else tuple(3 * ((n + 1) // 2) for n in grid)
        box = PeriodicBox(fine, own.lengths, own.lower, states.dtype, str(states.device))

        def of_sample(frames: Tensor, values: Any) -> Tensor:  # parameters are tensors without axes here
            spectra = box.transform(frames)
            nonlinear = self.nonlinear(box, values)(spectra)
            return box.inverse(exponential_residual(spectra, nonlinear, self.linear(box, values), time_step, n_known))

        with torch.autocast(states.device.type, enabled=False):
            if fine != grid:
                states = resampled(states, grid, fine)
            residuals: Tensor = torch.func.vmap(of_sample)(states, dict(parameters))
            return residuals if fine == grid else resampled(residuals, fine, grid)

    @property
    def simulated_resolution(self) -> tuple[int, ...]:
        """Points along each axis of the grid that is simulated."""
        return tuple(n * self.refinement for n in self.resolution)

    def at_resolution(self, resolution: Sequence[int]) -> PDE:
        """Return the same equation stored on another grid; the same seeds then mean the same functions.

        Where the new points are among those of the simulation, the simulation stays the same, so that errors on two
        grids differ by the grid alone; else the new grid is simulated with the same refinement.
        """
        ratios = {fine / max(n, 1) for fine, n in zip(self.simulated_resolution, resolution, strict=False)}
        is_among_points = len(resolution) == len(self.resolution) and len(ratios) == 1 and min(ratios).is_integer()
        if is_among_points and "refinement" in self._arguments:
            return self._changed(resolution=tuple(resolution), refinement=int(ratios.pop()))
        return super().at_resolution(resolution)

    @property
    def warm_up(self) -> float:
        """Time that is simulated before the first frame."""
        return 0.0

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Stored points along each axis."""
        axes = (x[:: self.refinement].float() for x in self.box().coordinates)
        return dict(zip("xyz", axes, strict=False))

    @property
    def boundaries(self) -> Mapping[str, tuple[str, str]]:
        """Periodic on all sides."""
        return dict.fromkeys("xyz"[: len(self.resolution)], ("periodic", "periodic"))

    def frames(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Iterator[Frame]:
        """Yield the stored points of each frame; see :meth:`EvolutionPDE.frames`.

        Raises:
            FloatingPointError: if a solution stops being finite, its budget does not close or the grid does not resolve
                it; names the seeds.
        """
        box = self.box(device)
        run = _Run(self, box, parameters, box.transform(self.initial_state(seeds, box)))
        run.advance(self.warm_up)
        for number in range(self.n_frames):
            if number > 0:
                run.advance(self.frame_interval)
            self._require_finite(run.spectrum, seeds, self.warm_up + number * self.frame_interval)
            yield self._at_stored_points(self.frame(run.spectrum, box, parameters))
        self._require_balanced(run.account.imbalance, seeds)
        self._require_resolved(run.tail, seeds)

    def _at_stored_points(self, frame: Frame) -> Frame:
        points = (slice(None), *(slice(None, None, self.refinement),) * len(self.resolution))
        return Frame(*({name: values[points] for name, values in fields.items()} for fields in frame))

    def _require_finite(self, spectrum: Tensor, seeds: Sequence[int], time: float) -> None:
        broken = broken_seeds(spectrum.isfinite().flatten(1).all(dim=1), seeds)
        if broken:
            raise FloatingPointError(
                f"{type(self).__name__}: the simulation of seeds {broken} is not finite at time {time:.4g}; nothing of "
                "it is kept. Choose a finer grid, a shorter time step or more diffusion"
            )

    def _require_balanced(self, imbalance: Tensor, seeds: Sequence[int]) -> None:
        fault = f"the {self.budget_name} budget does not close: its relative error is"
        self._require_below(self.budget_tolerance, imbalance, seeds, fault)

    def _require_resolved(self, tail: Tensor, seeds: Sequence[int]) -> None:
        fault = "the grid does not resolve the solution: the share of its variance in the highest frequencies is"
        self._require_below(self.max_tail, tail, seeds, fault)

    def _require_below(self, limit: float, values: Tensor, seeds: Sequence[int], fault: str) -> None:
        kept = values <= limit
        broken = broken_seeds(kept, seeds)
        if broken:
            raise FloatingPointError(
                f"{type(self).__name__}, seeds {broken}: {fault} "
                f"{', '.join(f'{value:.2g}' for value in values[~kept].tolist())}, allowed {limit:g}; nothing of it is "
                "kept. Choose a finer grid (or a larger refinement), a shorter time step or more diffusion"
            )


def resampled(fields: Tensor, grid: Sequence[int], new_grid: Sequence[int]) -> Tensor:
    """Return periodic fields ``(..., *grid)`` at the points of another grid, by their Fourier series."""
    n_dims = len(grid)
    for axis, (n, n_new) in enumerate(zip(grid, new_grid, strict=True), start=fields.ndim - n_dims):
        matrix = torch.from_numpy(resampling_matrix(n, n_new)).to(fields)
        fields = torch.matmul(fields.movedim(axis, -1), matrix.T).movedim(-1, axis)
    return fields


class _Run:
    """A batch of trajectories on their way, and the account of their budget."""

    def __init__(
        self, pde: PseudoSpectralPDE, box: PeriodicBox, parameters: Mapping[str, float], spectrum: Tensor
    ) -> None:
        self.spectrum = spectrum
        self._budget: Callable[[Tensor], Budget] = lambda state: pde.budget(state, box, parameters)
        linear, nonlinear = pde.linear(box, parameters), pde.nonlinear(box, parameters)
        self._steps = EqualSteps(linear, nonlinear, pde.longest_step(parameters))
        self._n_steps = 0
        self._tail: Callable[[Tensor], Tensor] | None = box.tail if pde.max_tail < math.inf else None
        self.account = BudgetAccount(self._budget(spectrum))
        self.tail = torch.zeros_like(self.account.imbalance)

    def advance(self, duration: float) -> None:
        """Advance by equal steps, none longer than allowed."""
        for spectrum, dt in self._steps.states(self.spectrum, duration):
            self.spectrum = spectrum
            self._check(dt)

    def _check(self, dt: float) -> None:
        self._n_steps += 1
        budget = self._budget(self.spectrum)
        if self._n_steps == STEPS_WITHOUT_BUDGET:
            self.account = BudgetAccount(budget)
        else:
            self.account.add(budget, dt)
        if self._tail is not None and self._n_steps % STEPS_BETWEEN_TAILS == 0:
            self.tail = torch.maximum(self.tail, self._tail(self.spectrum).double())
