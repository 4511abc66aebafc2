"""Functions and grids on the sphere."""

from fno_lightning.sphere.latitudes import LatitudeName, area_weights, colatitudes
from fno_lightning.sphere.legendre import associated_legendre, ladder

__all__ = ["LatitudeName", "area_weights", "associated_legendre", "colatitudes", "ladder"]
