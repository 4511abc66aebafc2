"""Seconds of a training step against grid, modes, width and batch, ours beside neuralop's, as a picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.environment import summary
from tests.benchmarks.harness import Contestant, Settings, interleave
from tests.benchmarks.networks import pair
from tests.benchmarks.training_step import TrainingStep, check_steps, learnable_data

logger = logging.getLogger(__name__)
NAME = "cost_curves"
NEURALOP, OURS = "neuralop", "ours, compiled"


@dataclass(frozen=True)
class Case:
    """Sizes of a two-dimensional network and its data.

    Args:
        grid: Points along each axis.
        modes: Modes along each axis.
        width: Hidden channels.
        batch: Samples.
    """

    grid: int = 128
    modes: int = 16
    width: int = 32
    batch: int = 2


SWEEPS: Mapping[str, Sequence[int]] = {
    "grid": (32, 64, 128, 256),
    "modes": (8, 16, 32, 64),
    "width": (16, 32, 64, 128),
    "batch": (1, 2, 4, 8),
}
TINY_SWEEPS: Mapping[str, Sequence[int]] = {"grid": (8, 12), "modes": (2, 4), "width": (4, 8), "batch": (1, 2)}
LABELS = {"grid": "points along each axis", "modes": "modes along each axis", "width": "width", "batch": "batch"}


def measure(settings: Settings, deadline: float = float("inf")) -> dict[str, Any]:
    """Return the seconds of a step for every case: sweep, size and contestant.

    Args:
        settings: Of the suite.
        deadline: On :func:`time.perf_counter`; no case is begun later. The ends of the sweeps come first.
    """
    base = Case(8, 4, 8, 1) if settings.tiny else Case()
    sweeps = TINY_SWEEPS if settings.tiny else SWEEPS
    ends = [(name, size) for name, sizes in sweeps.items() for size in (sizes[0], sizes[-1])]
    between = [(name, size) for name, sizes in sweeps.items() for size in sizes[1:-1]]
    known: dict[Case, dict[str, dict[str, Any]]] = {}
    curves: dict[str, list[dict[str, Any]]] = {name: [] for name in sweeps}
    for name, size in ends + between:
        case = replace(base, **{name: size})
        if case not in known:
            if time.perf_counter() > deadline:
                logger.info("  time is up, %s is left out", case)
                continue
            known[case] = step(settings, case)
        curves[name].append({"size": size, **known[case]})
    for points in curves.values():
        points.sort(key=lambda point: point["size"])
    return {"base": asdict(base), "curves": {name: points for name, points in curves.items() if points}}


def step(settings: Settings, case: Case) -> dict[str, dict[str, Any]]:
    """Return median and quartiles of both contestants, in seconds."""
    torch.compiler.reset()
    logger.info("  %s", case)
    torch.manual_seed(0)
    x, y = learnable_data(case.batch, 4, 1, (case.grid, case.grid), settings.device)
    peer, ours = pair(
        n_modes=(case.modes, case.modes), in_channels=4, out_channels=1, hidden_channels=case.width, n_layers=4
    )
    steps = {
        NEURALOP: TrainingStep(peer.to(settings.device), x, y),
        OURS: TrainingStep(ours.to(settings.device), x, y, compile=settings.compile),
    }
    series = interleave({name: Contestant(one.measure, warm_up=2) for name, one in steps.items()}, settings.rounds(5))
    check_steps(steps)
    return {name: {"median": one.median, "quartiles": list(one.quartiles)} for name, one in series.items()}


def caption(result: Mapping[str, Any], picture: str) -> str:
    """Return the picture in Markdown, with the sizes that a sweep does not vary."""
    base = Case(**result["base"])
    return (
        f"![Seconds of a training step against grid, modes, width and batch]({picture})\n\n"
        f"A step of a two-dimensional FNO in float32, {base.grid} x {base.grid} points, {base.modes} x {base.modes} "
        f"modes, width {base.width}, batch {base.batch} and 4 layers but for what is varied; the bands are quartiles, "
        f"the numbers say how many times as fast ours is. Measured on {summary(result['environment'])}."
    )


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw four panels, one for each sweep, with logarithmic axes and the ratio at every size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, len(result["curves"]), sharey=True, squeeze=False)[0]
    colours = {NEURALOP: "tab:gray", OURS: "tab:blue"}
    for panel, (name, points) in zip(panels, result["curves"].items(), strict=True):
        sizes = [point["size"] for point in points]
        for contestant, colour in colours.items():
            medians = [point[contestant]["median"] for point in points]
            low, high = zip(*(point[contestant]["quartiles"] for point in points), strict=True)
            panel.plot(sizes, medians, marker="o", markersize=4, color=colour, label=contestant)
            panel.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)
        for point in points:
            ratio = point[NEURALOP]["median"] / point[OURS]["median"]
            panel.annotate(
                f"{ratio:.1f}x",
                (point["size"], point[OURS]["median"]),
                textcoords="offset points",
                xytext=(0, -13),
                ha="center",
                fontsize=8,
            )
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.set_xlabel(LABELS[name])
        panel.margins(x=0.12, y=0.18)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds per step")
    panels[0].legend(frameon=False, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
