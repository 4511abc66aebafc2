"""Spherical Fourier neural operators as LightningModules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.data import FieldSpec
from fno_lightning.models import SFNO
from fno_lightning.modules.fno import FNOModule
from fno_lightning.sphere import LatitudeName, latitudes_of


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
