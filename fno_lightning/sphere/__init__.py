"""Functions and grids on the sphere."""

from fno_lightning.sphere.latitudes import LatitudeName, area_weights, colatitudes, latitudes_of
from fno_lightning.sphere.legendre import associated_legendre, ladder

__all__ = ["LatitudeName", "area_weights", "associated_legendre", "colatitudes", "ladder", "latitudes_of"]
