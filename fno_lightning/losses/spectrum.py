"""Error of the energy spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import require_floor
from fno_lightning.losses.fourier import FourierLoss


class Spectrum(FourierLoss):
    r"""Error of the energy spectrum, by octaves of the wavenumber, of each sample, time and field.

    .. math:: \left\langle \sqrt{1 + r_b^2} - 1 \right\rangle_b, \qquad
              r_b = \ln \frac{P_b + s^2}{T_b + s^2}

    with :math:`P_b` and :math:`T_b` the power of prediction and target in octave b: that of the waves of which 1, 2 to
    3, 4 to 7, ... fit into the longest axis, in any direction, if the grid's cells are cubes. The last octave begins at
    waves of four to eight points and has all that are shorter. Fields are continued evenly at the ends of axes that are
    not periodic, where half-waves count too. A small error is half the square of the relative one, a large one grows as
    the logarithm of the ratio: an octave that a forecast smooths away counts as much as one that it makes too strong.

    The loss sees neither phases nor the spatial mean. Add it to one that does, by
    :class:`~fno_lightning.losses.WeightedSum`.

    Args:
        smallest: s, the smallest amplitude (root mean square) of an octave that counts, in units of the spread of each
            field over the train split. Octaves in which prediction and target are smaller, or that have no mode, have
            no error.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``smallest`` is below 1e-9; in a module or in the forward pass, if ``periodic`` has not one entry
            an axis.
    """

    def __init__(
        self,
        smallest: float = 1e-2,
        periodic: Sequence[bool] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(periodic, weights)
        self.smallest = require_floor("smallest", smallest)

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the errors of the spectra."""
        members = self._octaves(prediction.shape[3:], prediction.device)
        ratio = (self._log_power(prediction, members) - self._log_power(target, members)).square()
        return (ratio / (1 + (1 + ratio).sqrt())).mean(dim=3)  # as in the formula, without a difference of near numbers

    def _log_power(self, fields: Tensor, members: Tensor) -> Tensor:
        power = self.power(fields).flatten(3)
        with torch.autocast(fields.device.type, enabled=False):  # which would take the product in half precision
            in_octaves = power @ members.to(power)
        return (in_octaves + self.smallest**2).log()

    def _octaves(self, grid: Sequence[int], device: torch.device) -> Tensor:
        """Return which mode is in which octave, as 0 or 1: ``(mode, octave)``."""
        longest = max(grid)
        n_waves = self.lengths(grid, [1 / longest] * len(grid), device).flatten() / (2 * math.pi)
        n_octaves = max(1, longest.bit_length() - 2)
        lower = [0.25, *(2**i - 1e-6 for i in range(1, n_octaves))]  # the spatial mean is below, rounding within
        above = torch.stack([n_waves >= edge for edge in lower], dim=1).to(n_waves.dtype)
        return above - torch.nn.functional.pad(above[:, 1:], (0, 1))
