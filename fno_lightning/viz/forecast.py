"""A forecast and its reference, for figures."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.viz.axes import shortened

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Forecast:
    """Prediction and reference of one trajectory, in physical units.

    Attributes:
        spec: Specification of the data set.
        reference: Frames to be predicted, ``(time, field, *grid)``; the first is at lead time one.
        prediction: Predicted frames, of the same shape.
        scalars: Parameters of the trajectory, ``(scalar,)``.
        constants: Fields without time dependence, ``(constant_field, *grid)``; ``None``: they are not drawn.
        band: Half of the width of the calibrated band around the prediction, of its shape; ``None``: there is none.
        spread: Standard deviation of an ensemble, of the shape of the prediction; ``None``: there is none.
        remark: What titles say of the trajectory beside its parameters, e.g. ``worst trajectory``.
    """

    spec: FieldSpec
    reference: Float[Tensor, "time field *grid"]
    prediction: Float[Tensor, "time field *grid"]
    scalars: Float[Tensor, " scalar"]
    constants: Tensor | None = None
    remark: str = ""
    band: Tensor | None = None
    spread: Tensor | None = None

    @property
    def is_steady(self) -> bool:
        """Whether it is the solution of a steady problem."""
        return self.spec.time_step is None and self.n_steps == 1

    @property
    def n_steps(self) -> int:
        """Number of predicted frames."""
        return len(self.reference)

    def frames(self, field: str) -> tuple[Array, Array]:
        """Return reference and prediction of one field, ``(time, *grid)``; of three dimensions the middle plane.

        Along uneven axes they are brought to as many even places, to each the value of the nearest point.
        """
        channel = self.spec.fields.index(field)
        return self._plane(self.reference[:, channel]), self._plane(self.prediction[:, channel])

    def width(self, field: str) -> tuple[str, Array] | None:
        """Return the uncertainty of one field with its name: ``half width`` of the band, or else the ``spread``.

        It is ``(time, *grid)`` as :meth:`frames`; ``None``: nothing is known.
        """
        for name, width in (("half width", self.band), ("spread", self.spread)):
            if width is not None:
                return name, self._plane(width[:, self.spec.fields.index(field)])
        return None

    def inputs(self) -> dict[str, Array]:
        """Return the fields without time dependence by name, ``(*grid)``; of three dimensions the middle plane."""
        if self.constants is None:
            return {}
        planes = zip(self.spec.constant_fields, self._plane(self.constants), strict=True)
        return dict(planes)

    def evenly_spaced(self, n_steps: int) -> list[int]:
        """Return indices of at most this many frames, from the first to the last."""
        return sorted({round(k) for k in np.linspace(0, self.n_steps - 1, n_steps)})

    def lead_time(self, step: int) -> str:
        """Return the lead time of the frame with this index as text, in steps and in the data's units of time."""
        if self.spec.time_step is None:
            return f"step {step + 1}" if self.n_steps > 1 else "solution"
        return f"step {step + 1}\nt = {self.times[step]:.4g}"

    @property
    def times(self) -> Array:
        """Lead time of every frame, in the data's units of time."""
        return np.arange(1, self.n_steps + 1) * (self.spec.time_step or 1.0)

    @property
    def parameters(self) -> str:
        """The trajectory's parameters as text, e.g. ``tcool = 0.1``."""
        return parameters_text(self.spec, self.scalars)

    def title(self, subject: str) -> str:
        """Return a title: subject, data set, parameters, and the source of simulated data."""
        parts = subject, shortened(self.spec.dataset_name), self.parameters, self.remark
        headline = ", ".join(part for part in parts if part)
        source = textwrap.shorten(self.spec.source, 80, placeholder=" ...")
        return f"{headline}\n{source}" if "simulated" in source.lower() else headline

    def _plane(self, frames: Tensor) -> Array:
        """Return ``(frame, *grid)`` values as figures show them, at even points between the rising edges of the domain.

        Of three dimensions it is the middle plane.
        """
        centres = replace(self.spec, coordinates=()).points(frames.shape[1:])
        for axis, (points, even) in enumerate(zip(self.spec.points(frames.shape[1:]), centres, strict=True), start=1):
            if points != even:
                nearest = (torch.tensor(even)[:, None] - torch.tensor(points)).abs().argmin(dim=1)
                frames = frames.index_select(axis, nearest.to(frames.device))
        frames = frames.flip([axis for axis, (first, last) in enumerate(self.spec.extent, start=1) if last < first])
        while frames.ndim > 3:
            frames = frames.select(-1, frames.shape[-1] // 2)
        return np.asarray(frames.double().cpu())


def parameters_text(spec: FieldSpec, scalars: Float[Tensor, " scalar"]) -> str:
    """Return the parameters of a trajectory as text, e.g. ``tcool = 0.1``."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in zip(spec.scalars, scalars.tolist(), strict=True))
