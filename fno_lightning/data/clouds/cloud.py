"""A point cloud with values, and its form as channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.field_spec import POINT_WEIGHT, FieldSpec

AXES = ("x", "y", "z")
"""Names of the coordinates, also among the constant fields."""


@dataclass(frozen=True)
class PointCloud:
    """Points with values: one sample of irregular data, or a trajectory of one.

    Attributes:
        positions: Coordinates, ``(point, dim)``, of one to three dimensions.
        fields: Fields to be predicted by name, ``(point,)``, or ``(time, point)`` for a trajectory.
        constant_fields: Fields without time dependence by name, ``(point,)``.
        scalars: Parameters by name.
        weight: What each point stands for in a mean over the domain, such as its part of the area, ``(point,)``; at
            least 0. ``None``: all are alike.
        name: What errors call it, such as its file.
    """

    positions: Tensor
    fields: Mapping[str, Tensor]
    constant_fields: Mapping[str, Tensor] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    weight: Tensor | None = None
    name: str = "a point cloud"

    def __post_init__(self) -> None:
        shape = tuple(self.positions.shape)
        if len(shape) != 2 or shape[0] == 0 or not 1 <= shape[1] <= len(AXES):
            raise ValueError(f"{self.name} has positions of shape {shape}, expected (point, dim), one to three dim")
        if not self.fields:
            raise ValueError(f"{self.name} has points but no values: there is nothing to predict")
        for name, values in self._values():
            most_axes = 1 if name in self.constant_fields or name == POINT_WEIGHT else 2
            if values.shape[-1:] != shape[:1] or values.ndim > most_axes:
                raise ValueError(f"'{name}' of {self.name} has the shape {tuple(values.shape)}, but {shape[0]} points")
            if not values.isfinite().all():
                wrong = int((~values.isfinite()).sum())
                raise ValueError(f"'{name}' of {self.name} holds NaN or infinite values, {wrong} of {values.numel()}")
        if self.weight is not None and ((self.weight < 0).any() or not (self.weight > 0).any()):
            raise ValueError(f"weights of the points of {self.name} are at least 0 and not all 0")

    def _values(self) -> Iterable[tuple[str, Tensor]]:
        yield "positions", self.positions.mT
        yield from self.fields.items()
        yield from self.constant_fields.items()
        if self.weight is not None:
            yield POINT_WEIGHT, self.weight


class CloudTensors(NamedTuple):
    """A point cloud as channels, in the order of a specification.

    Attributes:
        frames: Fields, ``(time, field, point)``.
        constants: Fields without time dependence, positions and weights among them, ``(constant_field, point)``.
        scalars: Parameters, ``(scalar,)``.
    """

    frames: Float[Tensor, "time field point"]
    constants: Float[Tensor, "constant_field point"]
    scalars: Float[Tensor, " scalar"]


def cloud_spec(
    clouds: Sequence[PointCloud], dataset_name: str, *, time_step: float | None = None, source: str = "unknown"
) -> FieldSpec:
    """Return the description of point clouds; all have the names of the first.

    Args:
        clouds: The clouds, at least one.
        dataset_name: Name of the data set.
        time_step: Time between two frames; ``None`` for a steady problem.
        source: Where they are from.
    """
    first = clouds[0]
    positions = AXES[: first.positions.shape[1]]
    if taken := sorted({*positions, POINT_WEIGHT} & {*first.fields, *first.constant_fields}):
        raise ValueError(f"{first.name} has fields named {taken}, as positions and weights of points are: rename them")
    dims = len(positions)
    edges = torch.stack(
        [torch.stack(torch.aminmax(cloud.positions[:, :dims].double(), dim=0), dim=1) for cloud in clouds]
    )
    box = zip(edges[..., 0].amin(dim=0).tolist(), edges[..., 1].amax(dim=0).tolist(), strict=True)
    return FieldSpec(
        dataset_name,
        fields=tuple(first.fields),
        grid_shape=(max(len(cloud.positions) for cloud in clouds),),
        constant_fields=(*first.constant_fields, *positions, POINT_WEIGHT),
        scalars=tuple(first.scalars),
        axes=("point",),
        time_step=time_step,
        source=source,
        positions=positions,
        box=tuple(box),
    )


def cloud_tensors(cloud: PointCloud, spec: FieldSpec) -> CloudTensors:
    """Bring a cloud into the order of channels, in float32, or in float64 where a part of it is so.

    Raises:
        ValueError: if it has other names than the specification.
    """
    names = {"fields": tuple(cloud.fields), "scalars": tuple(cloud.scalars)}
    names["constant_fields"] = (*cloud.constant_fields, *AXES[: cloud.positions.shape[1]], POINT_WEIGHT)
    for kind, found in names.items():
        if set(found) != set(getattr(spec, kind)):
            wanted = list(getattr(spec, kind))
            raise ValueError(f"{cloud.name} has the {kind.replace('_', ' ')} {list(found)}, others have {wanted}")
    positions = cloud.positions
    weight = torch.ones_like(positions[:, 0]) if cloud.weight is None else cloud.weight
    constants = {
        **cloud.constant_fields,
        **dict(zip(spec.positions, positions.unbind(dim=1), strict=True)),
        POINT_WEIGHT: weight,
    }
    frames = [cloud.fields[name] for name in spec.fields]
    scalars = [torch.as_tensor(cloud.scalars[name], dtype=torch.float32) for name in spec.scalars]
    return CloudTensors(
        _stacked([values.view(-1, values.shape[-1]) for values in frames], dim=1),
        _stacked([constants[name] for name in spec.constant_fields], dim=0),
        torch.stack(scalars) if scalars else torch.empty(0),
    )


def _stacked(values: Sequence[Tensor], dim: int) -> Tensor:
    dtype = torch.float64 if any(part.dtype == torch.float64 for part in values) else torch.float32
    return torch.stack([part.to(dtype) for part in values], dim=dim)
