"""Drift of conserved quantities in forecasts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.data import Batch, FieldSpec
from fno_lightning.devices import held_dtype
from fno_lightning.field_spec import cell_edges

_CARTESIAN = {"x", "y", "z"}


class Drift(NamedTuple):
    """Drift of conserved quantities of forecast and truth along one trajectory.

    Attributes:
        model: Relative drift of each quantity of the forecast, ``(time,)``.
        truth: The same of the trajectory.
    """

    model: Mapping[str, Tensor]
    truth: Mapping[str, Tensor]


def conserved_quantities(spec: FieldSpec) -> dict[str, tuple[str, ...]]:
    """Return the conserved quantities of a data set, each with the fields whose product it is.

    They follow from the names that The Well gives to fields: the density of mass ``density``, of momentum
    ``momentum_<axis>`` or ``density`` times ``velocity_<axis>``, and of energy ``energy``. There are none on axes that
    are not Cartesian, where a mean over the points is no integral over the volume, and none in a steady problem.

    >>> conserved_quantities(FieldSpec("flow", ("density", "velocity_x"), (8,), axes=("x",), time_step=0.1))
    {'mass': ('density',), 'momentum_x': ('density', 'velocity_x')}
    """
    if spec.time_step is None or not set(spec.axes) <= _CARTESIAN:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    if "density" in spec.fields:
        found["mass"] = ("density",)
    for axis in spec.axes:
        if (momentum := f"momentum_{axis}") in spec.fields:
            found[momentum] = (momentum,)
        elif {"density", f"velocity_{axis}"} <= set(spec.fields):
            found[momentum] = ("density", f"velocity_{axis}")
    if "energy" in spec.fields:
        found["energy"] = ("energy",)
    return found


def drifts(prediction: Tensor, batch: Batch, spec: FieldSpec) -> list[Drift]:
    r"""Return the drift of each trajectory of a batch, on the CPU.

    .. math:: \frac{\langle q(t) \rangle - \langle q(0) \rangle}{\langle |q| \rangle}

    where :math:`\langle q \rangle` is the mean of a quantity over the domain, at time 0 that of the last frame of the
    history. The denominator is the mean over the domain and all frames of the trajectory itself, for momentum of its
    length: the mean of a component may be zero. Where all is zero, the drift is not a number; that of a forecast
    that is not finite is infinite.

    Args:
        prediction: Forecasts, ``(batch, time, field, *grid)``.
        batch: Their trajectories, as long as the forecasts.
        spec: Specification of the data set.
    """
    quantities = conserved_quantities(spec)
    start = batch.history[:, -1:]
    frames = {"model": torch.cat((start, prediction), dim=1), "truth": torch.cat((start, batch.target), dim=1)}
    densities = {
        author: {name: _product(values, fields, spec) for name, fields in quantities.items()}
        for author, values in frames.items()
    }
    sizes = _sizes(densities["truth"], spec)
    by_author = {
        author: {name: _relative(_domain_mean(density, spec), sizes[name]) for name, density in by_name.items()}
        for author, by_name in densities.items()
    }
    return [
        Drift(*({name: drift[i].clone() for name, drift in by_author[author].items()} for author in ("model", "truth")))
        for i in range(len(prediction))
    ]


def drift_rows(trajectories: Sequence[Drift], spec: FieldSpec) -> Iterator[list[Any]]:
    """Yield a header, and for each step, quantity and author the mean and the largest absolute drift of trajectories.

    Trajectories that are shorter, and those where a drift is not a number, are left out.
    """
    yield ["step", "time", "quantity", "of", "mean", "largest"]
    for quantity in trajectories[0].model:
        for author in Drift._fields:
            sizes = [getattr(drift, author)[quantity].abs() for drift in trajectories]
            for step in range(max(map(len, sizes))):
                there = [float(size[step]) for size in sizes if step < len(size) and not size[step].isnan()]
                if there:
                    time = f"{(step + 1) * (spec.time_step or 1.0):.6g}"
                    yield [step + 1, time, quantity, author, f"{fmean(there):.7g}", f"{max(there):.7g}"]


def drift_summary(trajectories: Sequence[Drift]) -> str:
    """Return a line with the mean absolute drift at the end of the trajectories, of forecast and truth.

    It is empty if no quantity has a drift that is a number.
    """
    parts = []
    for quantity in trajectories[0].model:
        model, truth = (
            [float(getattr(drift, author)[quantity][-1].abs()) for drift in trajectories] for author in Drift._fields
        )
        pairs = [pair for pair in zip(model, truth, strict=True) if not any(map(math.isnan, pair))]
        if pairs:
            parts.append(f"{quantity} {fmean(m for m, _ in pairs):.2g} ({fmean(t for _, t in pairs):.2g})")
    if not parts:
        return ""
    return f"conservation, mean relative drift by the last step of the forecast (of the truth): {', '.join(parts)}"


def _product(frames: Tensor, fields: Sequence[str], spec: FieldSpec) -> Float[Tensor, "batch time *grid"]:
    product = frames[:, :, spec.fields.index(fields[0])].to(held_dtype(torch.float64, frames.device))
    for field in fields[1:]:
        product = product * frames[:, :, spec.fields.index(field)]
    return product


def _sizes(densities: Mapping[str, Tensor], spec: FieldSpec) -> dict[str, Float[Tensor, " batch"]]:
    """Return the mean size of each quantity over domain and time; of momentum that of the vector."""
    components = [density.square() for name, density in densities.items() if name.startswith("momentum")]
    momentum = torch.stack(components).sum(dim=0).sqrt() if components else None
    sizes = {}
    for name, density in densities.items():
        size = momentum if momentum is not None and name.startswith("momentum") else density.abs()
        sizes[name] = _domain_mean(size, spec).mean(dim=1)
    return sizes


def _relative(means: Float[Tensor, "batch time"], size: Float[Tensor, " batch"]) -> Float[Tensor, "batch step"]:
    """Return the change since the first frame in units of the size: infinite where it is no number but the size is."""
    change = (means[:, 1:] - means[:, :1]).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return torch.where(size[:, None] > 0, change / size[:, None], torch.nan).cpu()


def _domain_mean(density: Float[Tensor, "batch time *grid"], spec: FieldSpec) -> Float[Tensor, "batch time"]:
    """Return the mean over the domain, in which the points of uneven axes weigh as much as their cells are wide."""
    for points, n_points in zip(spec.coordinates or ((),) * spec.n_dims, density.shape[2:], strict=True):
        if len(points) == n_points > 1:
            low, high = cell_edges(points)
            inner = ((left + right) / 2 for left, right in pairwise(points))
            widths = torch.tensor([low, *inner, high], dtype=torch.float64).diff().abs().to(density)
            density = torch.tensordot(density, widths / widths.sum(), dims=([2], [0]))
        else:
            density = density.mean(dim=2)
    return density
