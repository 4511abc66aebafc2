"""Tables of errors against the parameters of the trajectories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from fno_lightning.callbacks.parameter_groups import Group
from fno_lightning.callbacks.trajectory_errors import TrajectoryErrors
from fno_lightning.data import FieldSpec
from fno_lightning.metrics.log_name import Forecaster, Window, format_window


class ParameterTables(NamedTuple):
    """Errors of groups of trajectories, a table for each parameter.

    Attributes:
        groups: Groups by parameter; nothing for a split whose trajectories all have the same parameters.
        trajectories: All trajectories.
        windows: Windows of lead time; the whole trajectories follow.
        threshold: Error up to which a forecast is valid.
        spec: Specification of the data set.
    """

    groups: Mapping[str, Sequence[Group]]
    trajectories: Sequence[TrajectoryErrors]
    windows: Sequence[Window]
    threshold: float
    spec: FieldSpec

    @property
    def forecasters(self) -> list[Forecaster]:
        """The model, and persistence unless the problem is steady."""
        return list(self.trajectories[0].means)

    @property
    def spans(self) -> dict[str, Window | None]:
        """Windows by their names in tables and figures."""
        whole = "all steps" if self.has_time else "solution" if self.spec.time_step is None else "one step"
        return {**{format_window(window): window for window in self.windows}, whole: None}

    @property
    def has_time(self) -> bool:
        """Whether forecasts have more than one step, so that there is a time up to which they are valid."""
        return max(errors.n_steps for errors in self.trajectories) > 1

    def for_terminal(self) -> list[Table]:
        """Return a table for each parameter, or one of all trajectories."""
        tables = []
        authors = " / ".join(self.forecasters)
        for parameter, groups in self._subjects():
            table = Table(title=f"{self._title(parameter)}, {authors}", caption=self._caption)
            for k, column in enumerate((parameter, "n", *self._columns())):
                table.add_column(column, justify="right" if k else "left", no_wrap=k > 0)
            for k, group in enumerate(groups):
                cells = (" / ".join(by_forecaster.values()) for by_forecaster in self._cells(group))
                end_section = k == len(groups) - 2
                table.add_row(group.label, str(len(group.trajectories)), *cells, end_section=end_section)
            tables.append(table)
        return tables

    def as_markdown(self, origin: Sequence[str]) -> str:
        """Return the tables as Markdown, with lines that say where the errors come from, and what follows from them."""
        lines = [f"# VRMSE by parameter on {self.spec.dataset_name}", "", f"Data: {self.spec.source}."]
        for line in origin:
            lines += ["", line]
        for parameter, groups in self._subjects():
            names = [f"{column}, {forecaster}" for column in self._columns() for forecaster in self.forecasters]
            header = [parameter, "trajectories", *names]
            rule = ["---", *("---:" for _ in header[1:])]
            rows = [
                [
                    group.label,
                    str(len(group.trajectories)),
                    *(cell for by in self._cells(group) for cell in by.values()),
                ]
                for group in groups
            ]
            lines += ["", f"## {parameter or 'All trajectories'}", ""]
            lines += [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
        lines += ["", f"Columns: {self._caption}."]
        return "\n".join(lines) + "\n"

    def losses(self) -> list[str]:
        """Say for which values of each parameter the model is no better than persistence, window by window."""
        if "persistence" not in self.forecasters:
            return []
        subjects = self.groups or {"": [Group("all trajectories", list(self.trajectories))]}
        lines = []
        for parameter, groups in subjects.items():
            lost = {
                name: [group.label for group in groups if not _beats_persistence(group, window)]
                for name, window in self.spans.items()
            }
            parts = [f"{name} at {', '.join(labels)}" for name, labels in lost.items() if labels]
            text = "; ".join(parts) or "nowhere"
            lines.append(f"no better than persistence{f', by {parameter}' if parameter else ''}: {text}")
        return lines

    def _title(self, parameter: str) -> str:
        return f"VRMSE by {parameter or 'window'} on {self.spec.dataset_name}"

    @property
    def _caption(self) -> str:
        errors = "means over the fields that vary, and over trajectories that are as long as the window"
        if not self.has_time:
            return errors
        step = f"; a step is {self.spec.time_step:.4g} units of time" if self.spec.time_step else ""
        return (
            f"{errors}; valid steps: first step with VRMSE above {self.threshold:g}, with ≥ where trajectories that "
            f"stay below it count as their full length{step}"
        )

    def _subjects(self) -> Iterable[tuple[str, list[Group]]]:
        """Yield each parameter with its groups, and all trajectories as the last one."""
        everything = Group("all", list(self.trajectories))
        for parameter, groups in (self.groups or {"": []}).items():
            yield parameter, [*groups, everything]

    def _columns(self) -> list[str]:
        return [*self.spans, *(["valid steps"] if self.has_time else [])]

    def _cells(self, group: Group) -> Iterable[dict[Forecaster, str]]:
        """Yield the numbers of each column, by forecaster."""
        for window in self.spans.values():
            yield {
                forecaster: _text(_mean(errors.over(window, forecaster) for errors in group.trajectories))
                for forecaster in self.forecasters
            }
        if self.has_time:
            yield {
                forecaster: _valid_steps(group.trajectories, self.threshold, forecaster)
                for forecaster in self.forecasters
            }


def _beats_persistence(group: Group, window: Window | None) -> bool:
    """Check that the model is better, or that there is nothing to compare."""
    model, persistence = (
        _mean(errors.over(window, forecaster) for errors in group.trajectories)
        for forecaster in ("model", "persistence")
    )
    return math.isnan(model) or model < persistence


def _valid_steps(trajectories: Sequence[TrajectoryErrors], threshold: float, forecaster: Forecaster) -> str:
    mean = _mean(errors.valid_time(threshold, forecaster) for errors in trajectories)
    is_bound = any(errors.first_step_above(threshold, forecaster) is None for errors in trajectories)
    return f"{'≥ ' if is_bound else ''}{mean:.3g}"


def _mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are there; ``nan`` if there are none."""
    there = [value for value in values if not math.isnan(value)]
    return math.fsum(there) / len(there) if there else math.nan


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
