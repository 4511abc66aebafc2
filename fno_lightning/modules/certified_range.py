"""The range that a module was trained and calibrated on, and what happens where a forecast leaves it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Dataset

from fno_lightning.data import Batch, FieldSpec
from fno_lightning.modules.training_grids import TrainingGrids
from fno_lightning.slabs import whole_grid

OffRange: TypeAlias = Literal["warn", "refuse", "ignore"]

MARGIN = 0.5
"""How far values of fields may leave the range, as a part of its width: those of new trajectories leave that of few."""

_ROUNDING = 1e-6
"""The same for parameters, as a part of their size."""


_MOST_TRAJECTORIES, _MOST_BYTES = 4096, 2**30
"""Most trajectories of a training whose fingerprints are taken, and most bytes that are read for it."""


class OffRangeError(ValueError):
    """A forecast leaves the range that the module was trained and calibrated on."""


class CertifiedRange:
    """Grids, lead times, and smallest and largest values of parameters and fields of a training and a calibration.

    A network says nothing of itself where it was not trained, and a band promises nothing where it was not calibrated.
    Values are those of the training's batches; a lead time is known where whole trajectories have been forecast in
    training (``RolloutEvaluation``) or calibration, and counts up to the longest. What nothing is known of is not
    checked.

    Args:
        spec: Description of the data.

    Attributes:
        grids: Grids of the training.
        off_range: What a forecast outside does: ``warn``, once for each kind of departure; ``refuse``; ``ignore``.
        n_steps: Longest lead time, in steps; ``None``: unknown.
        trajectories: Fingerprints of trajectories of the training, which a calibration may not use.
    """

    def __init__(self, spec: FieldSpec, off_range: OffRange = "warn") -> None:
        if off_range not in get_args(OffRange):
            raise ValueError(f"off_range is {off_range!r}, expected 'warn', 'refuse' or 'ignore'")
        self.grids = TrainingGrids(any_size=spec.is_irregular)
        self.off_range: OffRange = off_range
        self.n_steps: int | None = None
        self.trajectories: set[str] = set()
        self._names = {"field": spec.fields, "constant field": spec.constant_fields, "scalar": spec.scalars}
        self._values: dict[str, Tensor] = {}
        """Smallest and largest value of each channel, ``(2, channel)``."""
        self._warned: set[object] = set()

    def add(self, batch: Batch) -> None:
        """Add the values of a training batch, without waiting for its device."""
        self.grids.add([whole_grid(batch.target.shape[3:])])
        for kind, values in _channels_first(batch.history, batch.constants, batch.scalars).items():
            self._add(kind, values)
        self._add("field", batch.target.detach().movedim(2, 0).flatten(1))

    def add_trajectories(self, beginnings: Dataset[Batch]) -> None:
        """Add the fingerprints of trajectories of a training; of many or large ones, of as many as are read quickly.

        Args:
            beginnings: The trajectories with their histories alone.
        """
        n, first = len(beginnings), beginnings[0]  # type: ignore[arg-type]
        n_bytes = sum(part.numel() * part.element_size() for part in (first.history, first.constants))
        n_read = min(n, _MOST_TRAJECTORIES, max(1, _MOST_BYTES // max(n_bytes, 1)))
        for k in range(n_read):
            self.trajectories.add(fingerprint(beginnings[k * n // n_read]))

    def add_lead_times(self, n_steps: int) -> None:
        """Add lead times up to this one."""
        self.n_steps = max(n_steps, self.n_steps or 0)

    def departures(
        self, history: Tensor, constants: Tensor, scalars: Tensor, n_steps: int | None = None
    ) -> dict[object, str]:
        """Say where a forecast leaves the range; nothing where it does not. On a GPU it waits for the values.

        Args:
            history: Frames that it starts from, ``(batch, time, field, *grid)``.
            constants: Fields without time dependence, ``(batch, constant, *grid)``.
            scalars: Parameters, ``(batch, scalar)``.
            n_steps: Number of frames; ``None``: of no interest.

        Returns:
            A sentence for each departure, by what it is about.
        """
        found: dict[object, str] = {}
        grid = whole_grid(constants.shape[2:])
        if (text := self.grids.departure(grid)) is not None:
            found[grid] = text
        if n_steps is not None and self.n_steps is not None and n_steps > self.n_steps:
            found["lead time"] = (
                f"forecast of {n_steps} steps, but whole trajectories were forecast up to {self.n_steps} in training "
                "or calibration: nothing is known of its error beyond"
            )
        for kind, values in _channels_first(history, constants, scalars).items():
            for name, text in self._departures_of(kind, values):
                found[kind, name] = text
        return found

    def check(self, history: Tensor, constants: Tensor, scalars: Tensor, n_steps: int | None = None) -> None:
        """Warn of a forecast outside, once for each kind of departure, or refuse it; see :meth:`departures`.

        Raises:
            OffRangeError: if it leaves the range and ``off_range`` is ``refuse``; says where.
        """
        if torch.compiler.is_compiling() or self.off_range == "ignore":
            return
        self._report(self.departures(history, constants, scalars, n_steps))

    def check_grid(self, grid: Sequence[int]) -> None:
        """Warn of, or refuse, a forecast on another grid alone.

        Raises:
            OffRangeError: if it is none of the training's and ``off_range`` is ``refuse``.
        """
        if self.off_range != "ignore" and (text := self.grids.departure(grid)) is not None:
            self._report({tuple(grid): text})

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Forecast anything without a warning."""
        before, self.off_range = self.off_range, "ignore"
        try:
            yield
        finally:
            self.off_range = before

    def gather(self) -> None:
        """Take the values that other processes have seen into account; all must ask for it."""
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return
        for values in self._values.values():
            torch.distributed.all_reduce(values[0], torch.distributed.ReduceOp.MIN)
            torch.distributed.all_reduce(values[1], torch.distributed.ReduceOp.MAX)

    def to_plain(self) -> dict[str, Any]:
        """Return the range as plain values, for a checkpoint; the grids are apart."""
        return {
            "values": {kind: values.tolist() for kind, values in self._values.items()},
            "n_steps": self.n_steps,
            "trajectories": sorted(self.trajectories),
        }

    def add_plain(self, values: Mapping[str, Any]) -> None:
        """Add the range of :meth:`to_plain`, or of a part of it."""
        for kind, of_channels in values.get("values", {}).items():
            self._add(kind, torch.tensor(of_channels, dtype=torch.float64).T)
        if (n_steps := values.get("n_steps")) is not None:
            self.add_lead_times(n_steps)
        self.trajectories |= set(values.get("trajectories", ()))

    def _add(self, kind: str, values: Tensor) -> None:
        if not values.numel():
            return
        low, high = values.aminmax(dim=1)
        if values.dtype.itemsize == 2:  # they were rounded before anyone could see them
            low, high = (
                bound.float() + sign * bound.float().abs() * torch.finfo(values.dtype).eps
                for bound, sign in ((low, -1), (high, 1))
            )
        known = self._values.get(kind)
        if known is None or known.device != low.device:
            self._values[kind] = known = torch.stack((low, high)) if known is None else known.to(low)
        torch.minimum(known[0], low.to(known), out=known[0])  # in place, where captured steps read it
        torch.maximum(known[1], high.to(known), out=known[1])

    def _departures_of(self, kind: str, values: Tensor) -> Iterator[tuple[str, str]]:
        known = self._values.get(kind)
        if known is None or not values.numel():
            return
        bounds = [*known.tolist(), *(bound.tolist() for bound in values.aminmax(dim=1))]
        for name, smallest, largest, low, high in zip(self._names[kind], *bounds, strict=True):
            size = max(abs(smallest), abs(largest))
            margin = _ROUNDING * size if kind == "scalar" else MARGIN * (largest - smallest) + _ROUNDING * size
            if low >= smallest - margin and high <= largest + margin:
                continue
            found = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
            trained = f"{smallest:.6g}" if smallest == largest else f"{smallest:.6g} to {largest:.6g}"
            yield name, f"forecast for the {kind} {name!r} of {found}, but the network was trained on {trained}"

    def _report(self, departures: Mapping[object, str]) -> None:
        if departures and self.off_range == "refuse":
            raise OffRangeError(f"{'; '.join(departures.values())} (off_range is 'refuse'; 'warn' forecasts anyway)")
        for key in departures.keys() - self._warned:
            self._warned.add(key)
            rank_zero_warn(departures[key])


def fingerprint(sample: Batch) -> str:
    """Return a name for a trajectory that depends on its first frame, or without one its constant fields, and scalars.

    Args:
        sample: The trajectory from its beginning, without the axis of a batch.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in (sample.history[0] if len(sample.history) else sample.constants, sample.scalars):
        digest.update(part.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _channels_first(history: Tensor, constants: Tensor, scalars: Tensor) -> dict[str, Tensor]:
    """Return the values of each channel, ``(channel, value)``, by kind."""
    return {
        "field": history.detach().movedim(2, 0).flatten(1),
        "constant field": constants.detach().movedim(1, 0).flatten(1),
        "scalar": scalars.detach().T,
    }
