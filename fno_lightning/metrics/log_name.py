"""Names of errors in the logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

Stage: TypeAlias = Literal["val", "test"]
Baseline: TypeAlias = Literal["persistence", "mean"]
Forecaster: TypeAlias = Literal["model", Baseline]
Window: TypeAlias = tuple[int, int]
"""First frame, and frame after the last, as in a slice of the predicted frames."""

STAGES: tuple[Stage, ...] = get_args(Stage)
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
FORECASTERS: tuple[Forecaster, ...] = get_args(Forecaster)
ROLLOUT = "rollout"
_LOADER = "dataloader_idx_"


@dataclass(frozen=True)
class LogName:
    """Name of an error in the logs, with what is in brackets where it applies.

    ``<stage>/[<group>/][<forecaster>/]<metric>[_<first>-<last>][/<field>][/dataloader_idx_<loader>]``

    ``str(name)`` formats a name, and :meth:`parse` is its inverse. Names hold no colon, so that they can stand in the
    ``filename`` of a ModelCheckpoint.

    >>> str(LogName("val", "vrmse"))
    'val/vrmse'
    >>> str(LogName("val", "vrmse", forecaster="persistence", field="density"))
    'val/persistence/vrmse/density'
    >>> str(LogName("test", "vrmse", forecaster="mean", group="rollout", window=(6, 12)))
    'test/rollout/mean/vrmse_6-12'
    >>> str(LogName("val", "vrmse", window=(0, 16)))  # of samples with 16 frames to be predicted
    'val/vrmse_0-16'
    >>> str(LogName("test", "valid_time", group="rollout"))  # mean first step with VRMSE above a threshold
    'test/rollout/valid_time'
    >>> LogName.parse("test/resolution_64x64/nrmse") == LogName("test", "nrmse", group="resolution_64x64")
    True

    Attributes:
        stage: Loop that logs the error.
        metric: Name of the metric, e.g. one of :data:`~fno_lightning.metrics.STANDARD_METRICS`, without a slash. Of
            rollouts also ``diverged``, the share of trajectories whose forecast stops being finite, and in a test
            ``valid_time``, in steps.
        forecaster: Author of the forecast, the model or a baseline; the model is not written.
        group: ``rollout`` for autoregressive forecasts of whole trajectories, ``resolution_<n>x<n>`` for another grid;
            empty, and not written, for the samples of the data set.
        window: Lead times that the error is averaged over; ``None``: all of a rollout, and of a sample the next one.
        field: Field of the error, which may hold a slash; ``None``: mean over the fields.
        loader: Number of the loader, where there are several: ``val/vrmse/dataloader_idx_1``, as Lightning has it.
    """

    stage: Stage
    metric: str
    forecaster: Forecaster = "model"
    group: str = ""
    window: Window | None = None
    field: str | None = None
    loader: int | None = None

    def __str__(self) -> str:
        forecaster = "" if self.forecaster == "model" else self.forecaster
        metric = self.metric if self.window is None else f"{self.metric}_{format_window(self.window)}"
        loader = "" if self.loader is None else f"{_LOADER}{self.loader}"
        return "/".join(filter(None, (self.stage, self.group, forecaster, metric, self.field, loader)))

    def of_fields(self, fields: Sequence[str]) -> list[LogName]:
        """Return the name of the same error in each field."""
        return [replace(self, field=field) for field in fields]

    def of_targets(self, n_steps: int) -> list[tuple[LogName, slice]]:
        """Return the names of an error of samples with the lead times of each: the next one, and all if there are more.

        Args:
            n_steps: Number of frames that a sample has to be predicted.
        """
        names = [(self, slice(1))]
        return names if n_steps == 1 else [*names, (replace(self, window=(0, n_steps)), slice(n_steps))]

    @classmethod
    def parse(cls, text: str) -> LogName | None:
        """Return the parts of a name; ``None`` if it is not the name of an error.

        Windows of version 0.1, ``vrmse_6:12``, are read too.
        """
        first, *parts = text.split("/")
        stage = next((stage for stage in STAGES if stage == first), None)
        if stage is None or not parts or not all(parts):
            return None
        loader = _split_loader(parts)
        group = parts.pop(0) if len(parts) > 1 and _is_group(parts[0]) else ""
        forecaster: Forecaster = next((name for name in BASELINES if len(parts) > 1 and parts[0] == name), "model")
        metric, *field = parts if forecaster == "model" else parts[1:]
        metric, window = _split_window(metric)
        return cls(stage, metric, forecaster, group, window, "/".join(field) or None, loader)


def format_window(window: Window) -> str:
    """Return the text of a window, e.g. ``6-12``."""
    return f"{window[0]}-{window[1]}"


def resolution_group(grid_shape: Sequence[int]) -> str:
    """Return the group of errors on a grid, e.g. ``resolution_64x64``."""
    return f"resolution_{'x'.join(map(str, grid_shape))}"


def _is_group(text: str) -> bool:
    return text == ROLLOUT or text.startswith("resolution_")


def _split_loader(parts: list[str]) -> int | None:
    """Take the loader off the parts after the stage, if there is one."""
    number = parts[-1].removeprefix(_LOADER)
    is_loader = len(parts) > 1 and number != parts[-1] and number.isdecimal()
    return int(parts.pop().removeprefix(_LOADER)) if is_loader else None


def _split_window(text: str) -> tuple[str, Window | None]:
    """Split ``vrmse_6-12`` into metric and window, if it has one."""
    metric, _, window = text.rpartition("_")
    bounds = window.replace(":", "-").split("-")
    if not metric or len(bounds) != 2 or not all(bound.isdecimal() for bound in bounds):
        return text, None
    return metric, (int(bounds[0]), int(bounds[1]))
