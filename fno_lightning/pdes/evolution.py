"""The family of equations in time: from an initial state to stored frames."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fno_lightning.pdes.base import PDE, Trajectories
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
