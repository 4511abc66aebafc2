"""What modules share whose networks expand fields in bases, one for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.arguments import plain, require_list
from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, chebyshev_points
from fno_lightning.modules.base import ForecastModule

_CHEBYSHEV: dict[str | None, BasisName] = {"gauss": "chebyshev", "lobatto": "chebyshev_lobatto"}


class SpectralModule(ForecastModule):
    """A forecast by a network that expands fields in bases, one for each axis.

    Args:
        spec: Description of the data set.
        n_modes: Modes to keep along each axis.
        bases: Basis of each axis, by name. ``auto``: of an axis with Chebyshev points their polynomials, else Fourier
            on the periodic axes of the data, cosine on the others and on those that ``patching`` cuts. ``None``:
            Fourier.
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``n_modes`` or ``bases`` do not have one entry for each axis of the data, or the points of an
            axis are not those of its basis.
    """

    needs_even_axes = True
    remedy_for_uneven_axes = "take bases=auto, which has a basis for Chebyshev points"

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        bases: Literal["auto"] | Sequence[BasisName] | None,
        **kwargs: Any,
    ) -> None:
        require_list(n_modes=n_modes)
        if bases != "auto":
            require_list(bases=bases)
        self._asked_bases: Literal["auto"] | list[BasisName] | None = plain(bases, "bases")  # the axes are checked next
        super().__init__(spec, **kwargs)
        self.n_modes = _one_for_each_axis(plain(n_modes, "n_modes"), self.spec)
        self.bases = self._bases()

    def suits_axis(self, spec: FieldSpec, axis: int) -> bool:
        """Whether the basis of an axis is made for its uneven points."""
        basis = _chebyshev(spec, axis)
        asked = self._asked_bases
        return basis is not None and (
            asked == "auto" or (isinstance(asked, list) and asked[axis : axis + 1] == [basis])
        )

    def _bases(self) -> list[BasisName] | None:
        periodic = self.network_periodic or [True] * self.spec.n_dims
        found = [_chebyshev(self.spec, axis) for axis in range(self.spec.n_dims)]
        if self._asked_bases is None:
            return None
        bases: list[BasisName] = (
            [own or ("fourier" if wraps else "cosine") for own, wraps in zip(found, periodic, strict=True)]
            if self._asked_bases == "auto"
            else self._asked_bases
        )
        if len(bases) != self.spec.n_dims:
            raise ValueError(
                f"bases {bases} has {len(bases)} entries, but the data have {self.spec.n_dims} spatial axes: give one "
                "for each"
            )
        for axis, (basis, own) in enumerate(zip(bases, found, strict=True)):
            if basis.startswith("chebyshev"):
                self._require_chebyshev(axis, basis, own)
        return bases

    def _require_chebyshev(self, axis: int, basis: BasisName, own: BasisName | None) -> None:
        name = self.spec.axis_names[axis]
        if basis != own:
            raise ValueError(
                f"bases has {basis} along {name}, but the points there are "
                f"{'even' if not self.spec.coordinates or not self.spec.coordinates[axis] else 'others'}"
                f"{f': use {own}' if own else ': use cosine or sine, or fourier for a periodic axis'}"
            )
        if self.patching is not None and self.patching.axes(self.spec.grid_shape)[axis].n_patches > 1:
            raise ValueError(f"patching cuts {name}, whose Chebyshev points a patch has not: do not cut that axis")


def _chebyshev(spec: FieldSpec, axis: int) -> BasisName | None:
    """Return the basis that is made for the points of an axis; ``None``: they are even, or others."""
    return _CHEBYSHEV.get(chebyshev_points(spec.coordinates[axis])) if spec.coordinates else None


def _one_for_each_axis(n_modes: list[int], spec: FieldSpec) -> list[int]:
    if len(n_modes) != spec.n_dims:
        raise ValueError(
            f"n_modes {n_modes} has {len(n_modes)} entries, but the data have {spec.n_dims} spatial axes (grid "
            f"{spec.grid_shape}): give one number of modes for each"
        )
    return n_modes
