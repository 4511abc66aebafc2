"""Results as Markdown tables: mean and standard deviation over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.race.summary import WINDOWS, Summary, last_below

PERSISTENCE = "persistence"

TITLES = {
    "rollout": "The checkpoint with the best validation rollout over 6:12",
    "next step": "The checkpoint with the best next step in validation",
}


@dataclass(frozen=True)
class Line:
    """All seeds of a contestant at its best learning rate.

    Attributes:
        name: The contestant.
        results: Results of its runs, one a seed.
        checkpoint: What the checkpoint is the best of.
        is_final: Whether all learning rates have been tried.
    """

    name: str
    results: Sequence[Mapping[str, Any]]
    checkpoint: str
    is_final: bool = True

    @property
    def summaries(self) -> list[Summary]:
        """Figures of each seed."""
        return [Summary(one["checkpoints"].get(self.checkpoint) or one["checkpoints"][""]) for one in self.results]

    def spread(self, figure: Callable[[Summary], Any]) -> tuple[Any, Any]:
        """Return mean and standard deviation of a figure over the seeds; 0 of one seed."""
        values = np.array([figure(summary) for summary in self.summaries])
        with np.errstate(invalid="ignore"):
            return values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros_like(values[0])

    @property
    def is_trained(self) -> bool:
        """Whether there are weights."""
        return "parameters" in self.results[0]


def tables(lines: Sequence[Line]) -> str:
    """Return the tables of a checkpoint: all figures, then errors by field and by parameter."""
    return "\n\n".join([main_table(lines), field_table(lines), parameter_table(lines)])


def main_table(lines: Sequence[Line]) -> str:
    """Return the table of all figures."""
    names = ["", "one step", *(f"{first}:{last}" for first, last in WINDOWS), "valid time", "below persistence to"]
    names += ["spectrum at 12", "at 30", "smoothed", "samples/s", "parameters", "memory", "rate", "steps", "seeds"]
    still = next((line.summaries[0].curve for line in lines if line.name == PERSISTENCE), None)
    return markdown(names, [_row(line, still) for line in lines])


def _row(line: Line, still: np.ndarray | None) -> list[str]:
    cells = [line.name, spread(line.spread(lambda s: s.one_step))]
    cells += [spread(line.spread(lambda s, window=window: s.window(window))) for window in WINDOWS]
    cells.append(spread(line.spread(lambda s: s.valid_time), digits=1))
    if not line.is_trained:
        return cells
    cells.append("" if still is None else " ".join(str(last_below(s.curve, still)) for s in line.summaries))
    for step in line.summaries[0].evaluation["spectrum_steps"]:
        low, high = line.spread(lambda s, step=step: s.spectrum_range(step))[0]
        cells.append(f"{low:.2g} to {high:.2g}")
    smoothed = [field for summary in line.summaries for field in summary.smoothed]
    cells.append(", ".join(f"{field} ({smoothed.count(field)})" for field in dict.fromkeys(smoothed)) or "no")
    first = line.results[0]
    cells.append(f"{first['batch_size'] / first['seconds_per_step']:.0f}")
    cells.append(f"{first['parameters'] / 1e6:.2f} M")
    cells.append(f"{max(one['memory'] for one in line.results) / 2**30:.2f} GiB")
    rate = f"{first['rate']:g}{'' if line.is_final else ' so far'}"
    return [*cells, rate, str(first["steps"]), str(len(line.results))]


def field_table(lines: Sequence[Line]) -> str:
    """Return the table of errors by field: next step and windows."""
    fields = lines[0].summaries[0].fields
    periods = {"one step": lambda s: s.one_step_by_field}
    periods |= {f"{w[0]}:{w[1]}": lambda s, w=w: s.window_by_field(w) for w in WINDOWS}
    names = ["by field", *(f"{field} {period}" for period in periods for field in fields)]
    return markdown(names, [[line.name, *_cells(line, periods.values())] for line in lines])


def parameter_table(lines: Sequence[Line]) -> str:
    """Return the table of errors by the parameters of the trajectories: next step and windows."""
    first = lines[0].summaries[0]
    labels = parameter_labels(first)
    periods = {"one step": None, **{f"{w[0]}:{w[1]}": w for w in WINDOWS}}
    figures = [lambda s, w=w: s.by_parameter(w) for w in periods.values()]
    names = [f"by {', '.join(first.evaluation['scalars'])}", *(f"{label} {p}" for p in periods for label in labels)]
    return markdown(names, [[line.name, *_cells(line, figures)] for line in lines])


def parameter_labels(summary: Summary) -> list[str]:
    """Return the parameters of the trajectories in words."""
    return [" ".join(f"{value:.4g}" for value in values) for values in summary.parameters]


def _cells(line: Line, figures: Any) -> list[str]:
    return [spread(pair) for figure in figures for pair in zip(*line.spread(figure), strict=True)]


def spread(pair: tuple[float, float], digits: int = 3) -> str:
    """Return mean ± standard deviation."""
    mean, deviation = pair
    if not np.isfinite(mean):
        return "diverged"
    text = f"{mean:.{digits}f}" if mean < 1000 else f"{mean:.3g}"
    return f"{text} ± {deviation:.{digits}f}" if deviation else text


def markdown(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; short rows are filled up."""
    full = [[*row, *[""] * (len(names) - len(row))] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, ["---"] * len(names), *full])
