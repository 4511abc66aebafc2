"""Draw docs/floors.png: the floors that pyproject.toml checks imports against. Run as ``python docs/floors.py``."""

import tomllib
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
COLORS = ("#dbe9f6", "#fdebd3")
CONTENT = {
    "commands": "generate, check, configs, transfer",
    "cli": "LightningCLI",
    "parser": "errors in one line",
    "config_files": "configurations by name",
    "configured_paths": "~ and variables",
    "trainer_options": "what they turn off",
    "arguments": "plain values",
    "class_path": "public names",
    "deprecation": "former names",
    "devices": "what they hold",
    "files": "paths, locks",
    "runs": "their folders",
    "checkpoints": "whole or absent",
    "losses": "training minimises",
    "metrics": "evaluation reports",
    "malloc": "memory of glibc",
    "callbacks": "evaluation, tables, writing",
    "multistep": "several steps at once",
    "slab_strategy": "split fields",
    "slabs": "their exchange",
    "modules": "LightningModules",
    "check": "validator of data",
    "viz": "figures",
    "data": "Batch, FieldSpec, data modules\ncache, simulation, hdf5",
    "models": "FNO, TFNO, FFNO,\nUNO, SFNO, CODANO",
    "pdes": "equations\ninputs, solvers",
    "layers": "bases, spectral\nconvolution, kernels",
    "autoregressive": "rollout",
    "unrolling": "of training",
    "conformal": "calibrated bands",
    "wavenumbers": "power of modes",
    "sphere": "harmonics, latitudes",
}


def floors() -> list[list[str]]:
    """Return the rooms of each floor, the highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    return [[room.strip().removeprefix("fno_lightning.") for room in floor.split("|")] for floor in layers]


def draw() -> Figure:
    """Draw a row of boxes for each floor; imports go down."""
    rows = floors()
    figure = Figure(figsize=(10, 0.95 * len(rows)), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(0, len(rows)))
    axes.set_axis_off()
    for level, rooms in enumerate(reversed(rows)):
        width = 9.4 / len(rooms)
        for place, room in enumerate(rooms):
            left = 0.5 + place * width
            style = "round,pad=0,rounding_size=0.06"
            axes.add_patch(
                FancyBboxPatch((left, level + 0.1), width - 0.12, 0.8, style, fc=COLORS[level % 2], ec="0.5")
            )
            content = CONTENT.get(room, "")
            centre = left + (width - 0.12) / 2
            axes.text(centre, level + (0.68 if content else 0.5), room, ha="center", va="center", weight="bold", size=9)
            axes.text(centre, level + 0.35, content, ha="center", va="center", size=7, color="0.3")
    arrow = {"arrowstyle": "-|>", "color": "0.4"}
    axes.annotate("", xy=(0.25, 0.1), xytext=(0.25, len(rows) - 0.1), arrowprops=arrow)
    axes.text(0.12, len(rows) / 2, "imports", rotation=90, va="center", ha="center", size=8, color="0.3")
    return figure


if __name__ == "__main__":
    FigureCanvasAgg(draw()).print_png(str(Path(__file__).with_name("floors.png")))
