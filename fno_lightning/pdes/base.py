"""The interface of an equation, and the trajectories that it makes."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from itertools import product
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fno_lightning.pdes.equation import Equation, Residual, TrialSolution


@dataclass(frozen=True)
class Trajectories:
    """A batch of simulated trajectories on one grid, in physical units.

    Attributes:
        time: Times of the stored frames, ``(time,)``; one entry for a steady problem.
        coordinates: Cell or node coordinates of each axis by name, ``(n_points,)``, in axis order.
        boundaries: Boundary condition of the lower and the upper side of each axis, by axis name:
            ``"periodic"``, ``"wall"`` or ``"open"``.
        scalars: Parameters of the equation by name, constant in time; ``()`` if the same for the whole batch,
            else ``(batch,)``.
        scalar_fields: Time-dependent scalar fields by name, ``(batch, time, *grid)``.
        vector_fields: Time-dependent vector fields by name, ``(batch, time, *grid, n_dims)``.
        constant_fields: Scalar fields without time dependence by name, ``(batch, *grid)``.
    """

    time: Tensor
    coordinates: Mapping[str, Tensor]
    boundaries: Mapping[str, tuple[str, str]]
    scalars: Mapping[str, Tensor]
    scalar_fields: Mapping[str, Tensor]
    vector_fields: Mapping[str, Tensor] = field(default_factory=dict)
    constant_fields: Mapping[str, Tensor] = field(default_factory=dict)


class PDE(Equation):
    """An equation with its solver: parameters in, :class:`Trajectories` out.

    A subclass is constructed from plain values only (numbers, strings, sequences of them), so that a YAML file can
    name it and :attr:`settings` can identify the data that it makes. Most are frozen dataclasses with an argument
    ``resolution``: then :attr:`settings` and :meth:`at_resolution` need not be written, and arguments that are lists
    become tuples. It overrides :attr:`schema` and either :meth:`simulate_batch` or :meth:`simulate`.
    """

    dataset_name: ClassVar[str]
    """Name of the data set that the trajectories form, in The Well's spelling where one exists."""

    grid_type: ClassVar[str] = "cartesian"
    """Kind of the coordinates, as files name it: ``cartesian``, or ``equiangular`` of colatitude and longitude."""

    solver: ClassVar[str] = "version 1"
    """Method and its version, to be changed when the same arguments begin to make other data."""

    parameter_arguments: ClassVar[Mapping[str, str]] = {}
    """Argument that gives the values of each parameter, a number or a list, by the name of the parameter."""

    pseudo_fields: ClassVar[Sequence[str]] = ()
    """Fields, vectors by their name without the axis, that change sign in a mirror image besides, such as a vorticity
    in two dimensions."""

    @property
    def symmetries(self) -> Sequence[str]:
        """Transformations that turn any solution into a solution, for augmentation.

        ``shift`` by any distance, ``flip`` to the mirror image, ``rotate`` by 90°, each along all axes or, as in
        ``shift_x`` and ``rotate_xy``, along those that are named; parameters that are components of a vector or a
        tensor turn too. The grid and the boundaries need not have them. None unless a subclass states them.
        """
        return ()

    def __post_init__(self) -> None:
        """Make tuples of the arguments that are lists, and of a single value of a parameter."""
        self._set(**{name: _tupled(value) for name, value in self._arguments.items()})
        for name in self.parameter_arguments.values():
            if isinstance(value := getattr(self, name), Real):
                self._set(**{name: (value,)})

    def _set(self, **arguments: Any) -> None:
        """Set arguments of a frozen dataclass."""
        for name, value in arguments.items():
            object.__setattr__(self, name, value)

    @property
    def settings(self) -> dict[str, Any]:
        """Every plain value that the trajectories depend on, solver version included; JSON-serialisable."""
        return {argument.name: getattr(self, argument.name) for argument in _arguments(self)} | {"solver": self.solver}

    def at_resolution(self, resolution: Sequence[int]) -> "PDE":
        """Return the same equation on another grid; the same seeds then mean the same functions.

        Raises:
            ValueError: if the equation has no argument ``resolution``, or does not accept this one.
        """
        if "resolution" not in self._arguments:
            raise ValueError(f"{type(self).__name__} has no argument resolution, so it has no other grids")
        return self._changed(resolution=tuple(resolution))

    @property
    def _arguments(self) -> dict[str, Any]:
        return {argument.name: getattr(self, argument.name) for argument in _arguments(self) if argument.init}

    def _changed(self, **arguments: Any) -> "PDE":
        """Return the same equation with other arguments."""
        return type(self)(**self._arguments | arguments)

    @property
    @abstractmethod
    def schema(self) -> Trajectories:
        """One trajectory without its values: what :meth:`simulate` returns, known before anything is simulated.

        Cheap to build. Names, time, coordinates and boundaries are those of the simulation; scalars have the shape
        ``()`` and any value; fields are float32 tensors on the ``meta`` device with a batch of one, e.g.
        ``torch.empty(1, n_frames, *grid, device="meta")``.
        """

    @property
    def parameter_sets(self) -> Sequence[Mapping[str, float]]:
        """Sets of parameters that a batch of trajectories shares, by name; ``[{}]``: there are none.

        By default all combinations of the values in :attr:`parameter_arguments`. Parameters that differ between the
        trajectories of a batch are drawn by :meth:`simulate`, and are not here.
        """
        values = (getattr(self, argument) for argument in self.parameter_arguments.values())
        return [dict(zip(self.parameter_arguments, combination, strict=True)) for combination in product(*values)]

    def residual(self, solution: TrialSolution) -> Residual:
        """Return the residual of fields; see :meth:`Equation.residual`.

        Raises:
            NotImplementedError: if the equation does not state one.
        """
        raise NotImplementedError(f"{type(self).__name__} states no residual: override residual")

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return a name for the trajectories of one set of parameters; by default its values to six digits."""
        values = "".join(f"_{name}_{value:g}" for name, value in parameters.items())
        return f"{self.dataset_name}{values}"

    def file_name(self, parameters: Mapping[str, float]) -> str:
        """Return the label with a suffix. Deprecated: an override is used in this release, but not in the next."""
        warnings.warn("PDE.file_name is deprecated: use label, the name without suffix", FutureWarning, stacklevel=2)
        return f"{self.label(parameters)}.hdf5"

    @torch.no_grad()
    def simulate(
        self,
        parameters: Mapping[str, float] | None = None,
        seeds: Sequence[int] = (0,),
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Trajectories:
        """Simulate one trajectory for each seed, as one batch.

        Args:
            parameters: One entry of :attr:`parameter_sets`; the first unless given.
            seeds: Seeds of the initial conditions. A trajectory depends on its own seed alone (up to round-off), not
                on the batch that it is computed in.
            device: Device of the computation; the result is in float32, on this device or on the CPU.
            progress: Called now and then with the fraction of the work that is done, from 0 to 1.

        Raises:
            ValueError: if there are no seeds.
            FloatingPointError: if the solution stops being finite or physical; names the time and the seed.
        """
        if len(seeds) == 0:
            raise ValueError("there is nothing to simulate: seeds is empty; give one seed for each trajectory")
        if parameters is None:
            parameters = self.parameter_sets[0]
        return self.simulate_batch(parameters, seeds, device, progress or _ignore)

    def simulate_batch(
        self, parameters: Mapping[str, float], seeds: Sequence[int], device: str, report: Callable[[float], None]
    ) -> Trajectories:
        """Simulate one trajectory for each seed: the part of :meth:`simulate` that each equation defines.

        Args:
            parameters: One entry of :attr:`parameter_sets`.
            seeds: Seeds of the initial conditions, at least one.
            device: Device of the computation.
            report: To be called with the fraction of the work that is done.

        Raises:
            FloatingPointError: if the solution stops being finite or physical; names the time and the seed.
        """
        raise NotImplementedError(f"{type(self).__name__} must override simulate_batch")


def _ignore(_fraction: float) -> None:
    """Report no progress."""


def _tupled(value: Any) -> Any:
    """Make tuples of lists, ranges and arrays, nested ones as well, and Python's numbers of NumPy's."""
    if isinstance(value, np.ndarray | np.generic | Tensor):
        value = value.tolist()
    return tuple(map(_tupled, value)) if isinstance(value, list | range) or type(value) is tuple else value


def _arguments(pde: Any) -> Sequence[Field[Any]]:
    """Return the arguments of an equation that is a dataclass."""
    if not is_dataclass(pde):
        raise TypeError(f"{type(pde).__name__} is not a dataclass, so it must override settings and at_resolution")
    return fields(pde)
