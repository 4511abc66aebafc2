"""Spherical Fourier neural operators as LightningModules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

from fno_lightning.data import FieldSpec
from fno_lightning.models import SFNO
from fno_lightning.modules.fno import FNOModule
from fno_lightning.sphere import LatitudeName, colatitudes

NEAR = 0.05
"""Largest distance from the first point of a kind, in spacings, at which coordinates are taken as of that kind."""


class SFNOModule(FNOModule):
    """Forecasts on the sphere with a spherical Fourier neural operator, :class:`~fno_lightning.models.SFNO`.

    The axes of the data are latitude (or colatitude) and longitude, in this order. Components of vectors are fields
    like any other: the network does not know that they turn with the grid.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Degrees to keep, 0 to n - 1, and waves along the longitude, both signs counted: twice as many, or two
            less, keep all orders of the degrees. A quarter of the points of the longitude at most is a good value.
        latitudes: Kind of the points along the first axis: ``equiangular`` (centres of equal cells),
            ``equiangular_poles`` (with both poles), ``gauss_legendre``, or ``auto``: by the coordinates of the data.
        by_order: Give each order of a degree a complex matrix of its own, not one real matrix to all: the network then
            distinguishes the axis of the poles, and has more weights by the number of orders and two parts.
        **kwargs: The other options of :class:`FNOModule`; ``bases``, ``domain_padding``, ``local``, ``by_axis`` and
            ``patching`` are for planes, and refused. ``positional_embedding: grid`` is the sine of the latitude.

    Raises:
        ValueError: if the data do not lie on a sphere, their coordinates do not tell the ``latitudes``, or an option is
            for planes.
    """

    network_class = SFNO

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        *,
        latitudes: Literal["auto"] | LatitudeName = "auto",
        by_order: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, n_modes, **kwargs)
        if self.patching is not None:
            raise ValueError("patching cuts a plane into patches, which a sphere has not: leave it out of SFNOModule")
        self.latitudes = latitudes_of(self.spec) if latitudes == "auto" else latitudes
        self.network_arguments |= {"latitudes": self.latitudes, "by_order": by_order}


def latitudes_of(spec: FieldSpec) -> LatitudeName:
    """Return the kind of points along the first axis of a data set on the sphere, from its coordinates.

    Colatitudes or latitudes, in radians or in degrees, in either direction.

    Raises:
        ValueError: if the data are not of two axes, latitude and longitude, or the coordinates are not known or of no
            known kind.
    """
    names = f"{spec.dataset_name!r} with the axes {spec.axis_names}"
    if spec.n_dims != 2:
        raise ValueError(f"a sphere has two axes, latitude and longitude, but the grid of {names} is {spec.grid_shape}")
    if spec.boundaries and not (spec.periodic[1] and not spec.periodic[0]):
        raise ValueError(
            f"the axes on the sphere are latitude, not periodic, and longitude, periodic, but {names} has the "
            f"boundaries {spec.boundaries}"
        )
    n_points = spec.grid_shape[0]
    if not spec.extent or n_points < 2 or spec.coordinates:
        raise ValueError(
            f"the coordinates of {names} do not say which latitudes they are: give {get_args(LatitudeName)}"
        )
    low, high = spec.extent[0]
    span = abs(high - low) * (n_points - 1) / n_points  # from the first to the last point
    whole = 180.0 if span > 4 else math.pi
    lower_end = 0.0 if min(low, high) > -0.25 * whole else -whole / 2
    spacing = span / (n_points - 1)
    from_ends = [
        (min(low, high) + spacing / 2 - lower_end) / spacing,
        (lower_end + whole - max(low, high) + spacing / 2) / spacing,
    ]
    kinds: tuple[LatitudeName, ...] = get_args(LatitudeName)
    for kind in kinds:
        angles = colatitudes(kind, n_points)
        first = float(angles[0] * (n_points - 1) / (angles[-1] - angles[0]))
        if all(abs(distance - first) < NEAR for distance in from_ends):
            return kind
    raise ValueError(
        f"the latitudes of {names} begin {from_ends[0]:.3g} and end {from_ends[1]:.3g} spacings from the poles, which "
        f"is none of {kinds}: give the one that they are nearest to"
    )
