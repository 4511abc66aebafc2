"""Figures of a forecast from its errors and spectra on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from fno_lightning.metrics.log_name import Window

WINDOWS: tuple[Window, ...] = ((6, 12), (13, 30))

KEPT = (0.8, 1.25)
"""Range of the power of a forecast over the truth's in which a spectrum counts as kept."""

ROUND_OFF = 1e-9
"""Power of a shell over that of the strongest, below which there is round-off."""


class Summary:
    """Figures of one evaluation, see :func:`~tests.race.evaluation.evaluate`.

    Args:
        evaluation: Its plain values.
    """

    def __init__(self, evaluation: Mapping[str, Any]) -> None:
        self.evaluation = evaluation
        self.fields: list[str] = evaluation["fields"]
        self._varying = np.array(evaluation["varying"])

    @cached_property
    def errors(self) -> np.ndarray:
        """Errors of rollouts, ``(trajectory, step, field)``."""
        return np.array([one["errors"] for one in self.evaluation["trajectories"]])

    @property
    def curve(self) -> np.ndarray:
        """Error against lead time, the mean over the fields that vary, ``(step,)``."""
        return self.curves[:, self._varying].mean(axis=1)

    @property
    def curves(self) -> np.ndarray:
        """Error against lead time by field, ``(step, field)``."""
        return self.errors.mean(axis=0)

    @property
    def one_step(self) -> float:
        """Error of the next frame, over all windows of the test split."""
        return float(self.one_step_by_field[self._varying].mean())

    @property
    def one_step_by_field(self) -> np.ndarray:
        """The same for each field."""
        groups = self.evaluation["one_step"]
        return np.average([one["errors"] for one in groups], axis=0, weights=[one["n"] for one in groups])

    def window(self, window: Window) -> float:
        """Return the error over a window of lead times."""
        return float(self.curve[slice(*window)].mean())

    def window_by_field(self, window: Window) -> np.ndarray:
        """Return the same for each field."""
        return self.curves[slice(*window)].mean(axis=0)

    @property
    def valid_time(self) -> float:
        """First step with an error above 1, or the last if there is none, as in a test; the mean over trajectories."""
        over = self.errors[..., self._varying].mean(axis=2) > 1
        over[:, -1] = True
        return float((over.argmax(axis=1) + 1).mean())

    @property
    def parameters(self) -> list[tuple[float, ...]]:
        """Parameters of the trajectories, ascending, each once."""
        return sorted({tuple(one["scalars"]) for one in self.evaluation["trajectories"]})

    def by_parameter(self, window: Window | None) -> np.ndarray:
        """Return the error for each of the parameters, over a window or of the next frame, ``(parameter,)``."""
        if window is None:
            by = {tuple(one["scalars"]): np.array(one["errors"]) for one in self.evaluation["one_step"]}
            return np.array([by[key][self._varying].mean() for key in self.parameters])
        own = [tuple(one["scalars"]) for one in self.evaluation["trajectories"]]
        means = self.errors[:, slice(*window)][..., self._varying].mean(axis=(1, 2))
        return np.array([means[[i for i, key in enumerate(own) if key == wanted]].mean() for wanted in self.parameters])

    def spectrum_ratio(self, step: int) -> np.ndarray:
        """Return the power over the truth's, of all trajectories together, ``(field, shell)``.

        Shells that are empty but for round-off count as equal.
        """
        true = self._power("power", step)
        least = ROUND_OFF * true.max(axis=1, keepdims=True)
        return (self._power("predicted_power", step) + least) / (true + least)

    def spectrum_range(self, step: int) -> tuple[float, float]:
        """Return the smallest and the largest ratio of a field and shell, up to half the resolved wavenumbers."""
        ratio = self.spectrum_ratio(step)[self._varying]
        lower = np.nan_to_num(ratio[:, : self.n_half], nan=np.inf)
        return float(lower.min()), float(lower.max())

    @property
    def n_half(self) -> int:
        """Number of shells up to half the resolved wavenumbers."""
        return max(1, len(self.evaluation["wavenumber"]) // 2)

    @property
    def smoothed(self) -> list[str]:
        """Fields that lack small scales: power from a quarter to half the resolved wavenumbers, at any of the steps."""
        band = slice(self.n_half // 2, self.n_half)
        lacking = []
        for i, field in enumerate(self.fields):
            pairs = [
                [self._power(name, step)[i, band].sum() for name in ("predicted_power", "power")]
                for step in self.evaluation["spectrum_steps"]
            ]
            if self._varying[i] and any(own < KEPT[0] * true for own, true in pairs):
                lacking.append(field)
        return lacking

    def _power(self, name: str, step: int) -> np.ndarray:
        i = self.evaluation["spectrum_steps"].index(step)
        return np.array(self.evaluation[name][i])


def last_below(curve: np.ndarray, other: np.ndarray) -> int:
    """Return the last step up to which a curve is below another at every step; 0 if it never is."""
    above = np.append(~(curve < other), True)
    return int(above.argmax())
