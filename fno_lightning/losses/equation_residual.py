"""The residual of an equation as a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from fno_lightning.derivatives import AxisDerivative, FiniteDifferences, GridDerivatives, Spectral
from fno_lightning.field_spec import FieldSpec, cell_edges
from fno_lightning.losses.base import Comparison, Loss
from fno_lightning.pdes.base import PDE
from fno_lightning.pdes.equation import Equation, TrialSolution


class EquationResidual(Loss):
    r"""Mean square of what is left when a prediction is put into its equation; it needs no target.

    .. math:: \Big\langle \big(R(u) / s\big)^2 \Big\rangle

    with the residual R and the size s of its terms from the equation (:class:`~fno_lightning.pdes.Residual`). For
    equations of the package R is that of the solver: with time, what a step lacks of the integral of the right-hand
    side between frames, which begin with the history of the sample; without time, the discrete equation with its
    boundary conditions. Data do not have a residual of 0 where frames or points are too far apart for it: see what
    theirs is (:meth:`of_data`) before it is minimised. The first validation batch warns where it is more than half
    of the change between frames, or of the residual of zeros, as in other units than those of the equation.

    Args:
        equation: The equation; ``None``: that of the data, if an equation has made them.

    Raises:
        ValueError: if there is no equation; if the data lack a field, constant field or scalar of the equation, or the
            history of an equation in time; if an equation of the package has other lengths or ends of the axes.

    Reference: Li et al. 2024, arXiv:2111.03794 (physics-informed neural operators).
    """

    units = "physical"

    def __init__(self, equation: Equation | None = None) -> None:
        super().__init__()
        self.equation = equation
        self._spec: FieldSpec | None = None
        self._derivatives: dict[tuple[int, ...], GridDerivatives] = {}
        self._is_data_checked = False

    def bind(self, spec: FieldSpec) -> None:
        """Take the names and the axes of the data; see :meth:`Loss.bind`."""
        self._spec = spec
        self._derivatives = {}
        self._is_data_checked = False

    def take_equation(self, equation: Equation | None) -> None:
        """Take the equation of the data, unless there is one; see :meth:`Loss.take_equation`."""
        self.equation = self.equation or equation
        if self.equation is None:
            raise ValueError(
                "EquationResidual needs an equation, and the data do not come from one: set its argument equation, "
                "e.g. {class_path: fno_lightning.pdes.Burgers}"
            )
        if self._spec is not None and isinstance(self.equation, PDE):
            _require_same_domain(self.equation, self._spec)

    def compare(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the loss of a prediction; the target is not looked at, but in the first validation batch."""
        prediction, target = comparison.in_units("physical")
        if not (self.training or self._is_data_checked):
            self._is_data_checked = True
            self._check_data(target, comparison)
        return self.of_frames(prediction, comparison)

    def of_data(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the loss of the target: the floor below which predictions leave the data."""
        _, target = comparison.in_units("physical")
        return self.of_frames(target, comparison)

    def of_frames(self, frames: Float[Tensor, "batch time field *grid"], known: Comparison) -> Float[Tensor, ""]:
        """Return the loss of frames that follow a history."""
        return self._mean_square(frames, known, None if self._spec is None else self._spec.time_step)

    def _mean_square(self, frames: Tensor, known: Comparison, time_step: float | None) -> Tensor:
        if self.equation is None or self._spec is None:
            raise ValueError("EquationResidual needs an equation and the description of the data: call bind first")
        spec, history = self._spec, known.history.to(frames.dtype)
        both = torch.cat((history, frames), dim=1)
        residual = self.equation.residual(
            TrialSolution(
                fields=dict(zip(spec.fields, both.unbind(dim=2), strict=True)),
                constants=dict(zip(spec.constant_fields, known.constants.to(frames.dtype).unbind(dim=1), strict=True)),
                scalars=dict(zip(spec.scalars, known.scalars.to(frames.dtype).unbind(dim=1), strict=True)),
                n_known=history.shape[1],
                time_step=time_step,
                derivatives=self._on_grid(tuple(frames.shape[3:])),
            )
        )
        scale = residual.scale.detach()
        relative = residual.values / scale.view(len(scale), 1, -1, *(1,) * (frames.ndim - 3))
        return relative.square().mean()

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Raise an error: the residual needs the sample's history, constants and scalars.

        Raises:
            ValueError: always.
        """
        raise ValueError("EquationResidual needs more than a prediction and a target: a module calls compare")

    def _check_data(self, target: Tensor, known: Comparison) -> None:
        """Warn of data that leave a residual nearly as large as what the equation is to explain."""
        is_steady = known.history.shape[1] == 0
        of_data = self.of_frames(target, known).sqrt().item()
        if is_steady:
            of_nothing = self.of_frames(torch.zeros_like(target), known).sqrt().item()
        else:
            of_nothing = self._mean_square(target, known, 0.0).sqrt().item()
        if of_data > 0.5 * of_nothing and of_data > 1e-4:
            beside = "that of a field of zeros" if is_steady else "the change between frames"
            rank_zero_warn(
                f"EquationResidual: the data leave a residual of {of_data:.3g}, more than half of {beside}, "
                f"{of_nothing:.3g}: check that fields, time and scalars are in the units of "
                f"{type(self.equation).__name__}, and that frames and points are close enough for its residual"
            )

    def _on_grid(self, grid: tuple[int, ...]) -> GridDerivatives:
        assert self._spec is not None
        if grid not in self._derivatives:
            spec = self._spec
            axes: list[AxisDerivative] = []
            extents = spec.extent or ((0.0, 1.0),) * spec.n_dims
            uneven = [not even and n == own for even, n, own in zip(spec.uniform, grid, spec.grid_shape, strict=True)]
            for axis, (points, (lower, upper), wraps) in enumerate(
                zip(spec.points(grid), extents, spec.periodic, strict=True)
            ):
                if wraps and not uneven[axis]:
                    axes.append(Spectral(len(points), upper - lower))
                else:
                    axes.append(FiniteDifferences(tuple(points), 4, upper - lower if wraps else None))
            self._derivatives[grid] = GridDerivatives(axes)
        return self._derivatives[grid]


def _require_same_domain(equation: PDE, spec: FieldSpec) -> None:
    """Check that an equation has the axes of the data.

    Raises:
        ValueError: if it has others.
    """
    schema = equation.schema
    edges = [cell_edges(points.tolist()) for points in schema.coordinates.values()]
    own = [upper - lower for lower, upper in edges]
    wraps = [schema.boundaries[name] == ("periodic", "periodic") for name in schema.coordinates]
    extents = spec.extent or tuple(edges)
    lengths = [upper - lower for lower, upper in extents]
    same = len(own) == spec.n_dims and all(map(lambda a, b: math.isclose(a, b, rel_tol=1e-3), own, lengths))
    if not same or (spec.boundaries and list(spec.periodic) != wraps):
        raise ValueError(
            f"{type(equation).__name__} is an equation on axes {_domain(own, wraps)}, but the data have axes "
            f"{_domain(lengths, spec.periodic)}: its residual would be wrong; name the equation of these data, "
            "in their units"
        )


def _domain(lengths: Sequence[float], periodic: Sequence[bool]) -> str:
    ends = zip(lengths, periodic, strict=False)
    return "of the lengths " + ", ".join(f"{length:g}{' (periodic)' if wraps else ''}" for length, wraps in ends)
