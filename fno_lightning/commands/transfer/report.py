"""Results, table and figure of the transfer-learning study."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fno_lightning.files import atomic_file
from fno_lightning.viz.axes import STYLE

REPORT = ("transfer.md", "transfer.png")
"""Files of the table and the figure."""

Kind: TypeAlias = Literal["zero-shot", "fine-tuned", "from scratch"]


@dataclass(frozen=True)
class Result:
    """Errors of one model.

    Attributes:
        shift: Name of the downstream data.
        kind: Kind of training.
        n_examples: Downstream examples that it was trained on.
        seed: Seed of the training.
        learning_rate: Learning rate of the training.
        valid_error: Error on the downstream validation split, which chooses the learning rate.
        test_error: Error on the downstream test split.
    """

    shift: str
    kind: Kind
    n_examples: int
    seed: int
    learning_rate: float
    valid_error: float
    test_error: float

    def save(self, path: Path) -> None:
        """Write the result, replacing the file as a whole."""
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a result."""
        return cls(**json.loads(path.read_text()))


Curve = Mapping[int, Sequence[float]]
"""Test errors of all seeds by number of examples."""


def write_report(folder: Path, results: Sequence[Result], metric: str) -> None:
    """Write ``transfer.md`` and ``transfer.png`` into a folder."""
    with atomic_file(folder / REPORT[0]) as path:
        path.write_text(table(results, metric), encoding="utf-8")
    canvas = FigureCanvasAgg(figure(results, metric))
    with atomic_file(folder / REPORT[1]) as path:
        canvas.print_png(str(path))  # type: ignore[no-untyped-call]


def table(results: Sequence[Result], metric: str) -> str:
    """Return the errors of each downstream data set by number of examples, and the data that fine-tuning saves."""
    lines = [f"# Test {metric}, median over seeds"]
    for shift in dict.fromkeys(result.shift for result in results):
        tuned, scratch = (curve(results, shift, kind) for kind in ("fine-tuned", "from scratch"))
        zero_shot = curve(results, shift, "zero-shot").get(0, [math.nan])
        lines += ["", f"## {shift}", "", f"Zero-shot: {zero_shot[0]:.3g}", ""]
        lines += ["| examples | fine-tuned | from scratch | data saved |", "|---:|---:|---:|---:|"]
        saving = data_saving(tuned, scratch)
        for size in sorted(tuned.keys() | scratch.keys()):
            cells = [_cell(tuned.get(size)), _cell(scratch.get(size)), saving.get(size, "")]
            lines.append(f"| {size} | {' | '.join(cells)} |")
    lines += ["", "Data saved: examples that training from scratch needs for the error of fine-tuning, over those that"]
    lines += ["fine-tuning needs (log-log interpolation between the medians).", ""]
    return "\n".join(lines)


def curve(results: Sequence[Result], shift: str, kind: Kind) -> dict[int, list[float]]:
    """Return the errors of all seeds by number of examples."""
    errors: dict[int, list[float]] = defaultdict(list)
    for result in results:
        if (result.shift, result.kind) == (shift, kind):
            errors[result.n_examples].append(result.test_error)
    return dict(errors)


def data_saving(tuned: Curve, scratch: Curve) -> dict[int, str]:
    """Return, for each number of examples, the multiple that training from scratch needs for the error of fine-tuning.

    Interpolated between the medians, linearly in both logarithms. ``> r`` where the largest number of examples is not
    enough, ``< r`` where the smallest is more than enough.
    """
    points = sorted((size, median(errors)) for size, errors in scratch.items())
    savings = {}
    for size, errors in tuned.items():
        wanted = median(errors)
        if not points:
            continue
        if points[0][1] <= wanted:
            savings[size] = f"< {points[0][0] / size:.2g}"
        elif all(error > wanted for _, error in points):
            savings[size] = f"> {points[-1][0] / size:.2g}"
        else:
            savings[size] = f"{_examples_for(wanted, points) / size:.2g}"
    return savings


def _examples_for(wanted: float, points: Sequence[tuple[int, float]]) -> float:
    """Interpolate the number of examples at which a curve first reaches an error."""
    last = next(i for i, (_, error) in enumerate(points) if error <= wanted)
    (low, worse), (high, better) = points[last - 1], points[last]
    share = math.log(worse / wanted) / math.log(worse / better)
    examples: float = low * (high / low) ** share
    return examples


@mpl.rc_context(STYLE)
def figure(results: Sequence[Result], metric: str) -> Figure:
    """Draw error against number of examples, both logarithmic, a panel for each downstream data set."""
    shifts = list(dict.fromkeys(result.shift for result in results))
    drawing = Figure(figsize=(1 + 3.2 * len(shifts), 3.2), layout="constrained")
    panels = drawing.subplots(1, len(shifts), sharey=True, squeeze=False)[0]
    for panel, shift in zip(panels, shifts, strict=True):
        for kind, color in (("fine-tuned", "C0"), ("from scratch", "C1")):
            errors = curve(results, shift, kind)  # type: ignore[arg-type]
            sizes = sorted(errors)
            panel.plot(sizes, [median(errors[size]) for size in sizes], "o-", color=color, label=kind, markersize=4)
            panel.fill_between(
                sizes, [min(errors[s]) for s in sizes], [max(errors[s]) for s in sizes], color=color, alpha=0.2, lw=0
            )
        for error in curve(results, shift, "zero-shot").get(0, ()):
            panel.axhline(error, color="0.4", linestyle="--", label="zero-shot", linewidth=1)
        panel.set(xscale="log", yscale="log", xlabel="downstream examples", title=shift.replace("_", " "))
        panel.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"test {metric}")
    panels[0].legend(frameon=False)
    return drawing


def _cell(errors: Sequence[float] | None) -> str:
    return "" if not errors else f"{median(errors):.3g}"
