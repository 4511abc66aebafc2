"""Metadata of the files of an equation, before there are any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from fno_lightning.data.hdf5 import WellField, WellFile
from fno_lightning.data.hdf5.points import Points
from fno_lightning.pdes import PDE


def schema_file(pde: PDE, source: str) -> WellFile:
    """Return the metadata that a file written from one trajectory of an equation would have.

    Args:
        pde: The equation.
        source: Where the data will come from.
    """
    schema = pde.schema
    axes = tuple(schema.coordinates)
    rows = {name: _float64(values) for name, values in {"time": schema.time, **schema.coordinates}.items()}
    return WellFile(
        path=Path(pde.dataset_name),
        dataset_name=pde.dataset_name,
        source=source,
        n_trajectories=1,
        time=rows["time"],
        axes=axes,
        coordinates=tuple(rows[axis] for axis in axes),
        points={name: Points.of_values(row, np.dtype(np.float32)) for name, row in rows.items()},
        boundaries=tuple(schema.boundaries[axis] for axis in axes),
        fields=(
            *_fields(schema.scalar_fields, 0, axes, time_varying=True),
            *_fields(schema.constant_fields, 0, axes, time_varying=False),
            *_fields(schema.vector_fields, 1, axes, time_varying=True),
        ),
        scalars={name: np.full(1, np.nan, np.float32) for name in schema.scalars},
        time_varying_scalars=(),
    )


def _fields(
    fields: Mapping[str, Tensor], order: int, axes: tuple[str, ...], *, time_varying: bool
) -> tuple[WellField, ...]:
    return tuple(
        WellField(
            name=name,
            order=order,
            components=tuple(f"{name}_{axis}" for axis in axes) if order else (name,),
            shape=tuple(values.shape),
            sample_varying=True,
            time_varying=time_varying,
            grid=tuple(values.shape[2 if time_varying else 1 :][: len(axes)]),
            dtype=np.dtype(np.float32),
            offset=None,
        )
        for name, values in fields.items()
    )


def _float64(values: Tensor) -> np.ndarray:
    """Return coordinates as a file would: through single precision."""
    array: np.ndarray = values.float().double().numpy()
    return array
