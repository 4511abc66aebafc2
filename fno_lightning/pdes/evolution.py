"""The family of equations in time: from an initial state to stored frames."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.collocation import collocation_residual
from fno_lightning.pdes.equation import Residual, TrialSolution, named
from fno_lightning.pdes.requirements import require_at_least, require_positive


class Frame(NamedTuple):
    """The state of every trajectory at one time, in physical space; or, with an axis ``time``, at several.

    Attributes:
        scalar_fields: Scalar fields by name, ``(batch, *grid)``.
        vector_fields: Vector fields by name, ``(batch, *grid, n_dims)``.
    """

    scalar_fields: dict[str, Tensor]
    vector_fields: dict[str, Tensor]


class EvolutionPDE(PDE):
    """An equation in time: starts from a state for each seed, and stores frames at equal intervals.

    A subclass is a frozen dataclass with the arguments ``resolution``, ``n_frames``, ``frame_interval`` and
    ``precision``. It names its fields, and overrides :meth:`frames`, :attr:`grid` and :attr:`boundaries`.
    """

    resolution: tuple[int, ...]
    n_frames: int
    frame_interval: float
    precision: Literal["float32", "float64"]

    scalar_field_names: ClassVar[tuple[str, ...]] = ()
    vector_field_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, n_frames=self.n_frames)
        require_positive(frame_interval=self.frame_interval)

    @property
    @abstractmethod
    def grid(self) -> Mapping[str, Tensor]:
        """Coordinates of each axis by name."""

    @property
    @abstractmethod
    def boundaries(self) -> Mapping[str, tuple[str, str]]:
        """Boundary condition of the lower and the upper side of each axis by name."""

    @abstractmethod
    def frames(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Iterator[Frame]:
        """Yield the frames of a batch of trajectories, one after the other.

        Args:
            parameters: One entry of :attr:`parameter_sets`.
            seeds: Seeds of the initial states.
            device: Device of the computation.

        Raises:
            FloatingPointError: if a solution is not finite or physical; names the seeds.
        """

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the stored fields, vectors by component."""
        vectors = (f"{name}_{axis}" for name in self.vector_field_names for axis in self.grid)
        return (*self.scalar_field_names, *vectors)

    def state(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """Return what the equation advances, from stored fields; by default the fields themselves.

        Args:
            fields: Fields by name, vectors by component, ``(sample, *grid)``.
            parameters: Entries of :attr:`parameter_sets`, ``(sample,)``.

        Returns:
            The state, ``(sample, equation, *grid)``.

        Raises:
            ValueError: if a field is missing.
        """
        return torch.stack(named(fields, self.component_names, "fields"), dim=1)

    def rate(self, state: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the rate of change of a state, the right-hand side that is simulated, differentiable.

        The residual of equations that integrate a part of it exactly (:class:`PseudoSpectralPDE`) does not need it.

        Args:
            state: See :meth:`state`; on any grid of the domain.
            parameters: Entries of :attr:`parameter_sets`, ``(sample,)``.

        Raises:
            NotImplementedError: if the equation does not state it.
        """
        raise NotImplementedError(f"{type(self).__name__} states no rate of change: override rate")

    def parameters(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters of stored scalars, the inverse of :meth:`scalars`; by default of the same names.

        Raises:
            ValueError: if a scalar is missing.
        """
        names = tuple(self.parameter_sets[0])
        return dict(zip(names, named(scalars, names, "scalars"), strict=True))

    def residual(self, solution: TrialSolution) -> Residual:
        """Return the residual between frames, :func:`~fno_lightning.pdes.collocation.collocation_residual`.

        Its scale is the spatial deviation of the first frame, or its root mean square if it is even.
        """
        if solution.time_step is None:
            raise ValueError(f"{type(self).__name__} is an equation in time, but the data are steady")
        n_samples, n_frames = next(iter(solution.fields.values())).shape[:2]
        fields = {name: values.flatten(0, 1) for name, values in solution.fields.items()}
        parameters = self.parameters(solution.scalars)
        repeated = {name: values.repeat_interleave(n_frames) for name, values in parameters.items()}
        state = self.state(fields, repeated)
        states = state.reshape(n_samples, n_frames, *state.shape[1:])
        first = states[:, 0].detach().flatten(2)
        deviation, size = first.std(dim=2, correction=0), first.square().mean(dim=2).sqrt()
        scale = torch.where(deviation > 1e-6 * size, deviation, torch.where(size > 0, size, 1.0))
        return Residual(self._between_frames(states, parameters, solution.time_step, solution.n_known), scale)

    def _between_frames(
        self, states: Tensor, parameters: Mapping[str, Tensor], time_step: float, n_known: int
    ) -> Tensor:
        """Return the residual of states ``(batch, time, equation, *grid)`` in each interval."""
        n_frames = states.shape[1]
        repeated = {name: values.repeat_interleave(n_frames) for name, values in parameters.items()}
        rates = self.rate(states.flatten(0, 1), repeated).reshape(states.shape)
        return collocation_residual(states, rates, time_step, n_known)

    def scalars(self, parameters: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the parameters that are stored with the trajectories, by name."""
        return {name: torch.tensor(float(value)) for name, value in parameters.items()}

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the simulation."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def schema(self) -> Trajectories:
        """One trajectory without its values."""
        shape = (1, self.n_frames, *self.resolution)
        scalar, vector = (torch.empty(s, device="meta") for s in (shape, (*shape, len(self.resolution))))
        fields = dict.fromkeys(self.scalar_field_names, scalar), dict.fromkeys(self.vector_field_names, vector)
        return self._trajectories(self.parameter_sets[0], Frame(*fields))

    def simulate_batch(
        self, parameters: Mapping[str, float], seeds: Sequence[int], device: str, report: Callable[[float], None]
    ) -> Trajectories:
        """Simulate one trajectory for each seed; see :meth:`PDE.simulate_batch`."""
        stored = Frame({}, {})
        for number, frame in enumerate(self.frames(parameters, seeds, device)):
            self._store(frame, number, stored)
            report((number + 1) / self.n_frames)
        return self._trajectories(parameters, stored)

    def _store(self, frame: Frame, number: int, stored: Frame) -> None:
        for store, fields in zip(stored, frame, strict=True):
            for name, values in fields.items():
                if name not in store:
                    store[name] = values.new_empty(len(values), self.n_frames, *values.shape[1:], dtype=torch.float)
                store[name][:, number] = values

    def _trajectories(self, parameters: Mapping[str, float], stored: Frame) -> Trajectories:
        return Trajectories(
            time=torch.arange(self.n_frames) * self.frame_interval,
            coordinates=self.grid,
            boundaries=self.boundaries,
            scalars=self.scalars(parameters),
            scalar_fields=stored.scalar_fields,
            vector_fields=stored.vector_fields,
        )
