"""Colours, coordinates and titles of the figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from fno_lightning.data import FieldSpec

Array: TypeAlias = npt.NDArray[Any]

CHARACTERS_PER_INCH = 14
"""Characters of a title in an inch, at the font size below."""

LONGEST_NAME = 40
"""Characters of a name in a figure; of a longer one the beginning is shown."""

STYLE: dict[Any, Any] = {
    "text.usetex": False,
    "figure.dpi": 150,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 9,
    "figure.labelsize": 8,
    "legend.fontsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
"""Matplotlib settings of every figure."""


@dataclass(frozen=True)
class Scale:
    """Range of values and the colours for them.

    Attributes:
        low: Value of the first colour.
        high: Value of the last colour.
        colors: Name of a Matplotlib colour map.
    """

    low: float
    high: float
    colors: str

    @classmethod
    def of_field(cls, reference: Array) -> Scale:
        """Range of the reference: about zero where it takes both signs. A prediction outside it is clipped."""
        low, high = _range(reference)
        if min(-low, high) > 0.1 * max(-low, high):
            return cls(-max(-low, high), max(-low, high), "RdBu_r")
        return cls(low, high if high > low else low + (abs(low) or 1.0), "viridis")

    @classmethod
    def of_error(cls, error: Array, reference: Array) -> Scale:
        """Range about zero that holds the errors, as far as they are not larger than the range of the reference."""
        finite = np.abs(error[np.isfinite(error)])
        largest = float(np.quantile(finite, 0.999)) if finite.size else 0.0
        low, high = _range(reference)
        limit = min((size for size in (largest, high - low) if size > 0), default=1.0)
        return cls(-limit, limit, "PuOr_r")

    @classmethod
    def of_width(cls, width: Array) -> Scale:
        """Range from zero to the largest width of a band."""
        high = _range(width)[1]
        return cls(0.0, high if high > 0 else 1.0, "cividis")

    def extension(self, *values: Array) -> str:
        """Return the ends of a colour bar that the values exceed, as Matplotlib names them."""
        finite = np.concatenate([v[np.isfinite(v)] for v in values])
        below, above = bool((finite < self.low).any()), bool((finite > self.high).any())
        return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both")

    def show(self, axes: Axes, image: Array, **options: Any) -> AxesImage:
        """Draw ``(horizontal, vertical)`` values; those that are not finite are grey."""
        colors = mpl.colormaps[self.colors].with_extremes(bad="0.6")
        values = np.ma.masked_invalid(image.T)
        return axes.imshow(values, cmap=colors, vmin=self.low, vmax=self.high, origin="lower", **options)


def _range(values: Array) -> tuple[float, float]:
    """Smallest and largest finite value."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def shortened(name: str) -> str:
    """Return a name on one line, or its beginning if it is long."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 3]}..."


def plain_text(text: str) -> str:
    """Return a name as Matplotlib shows it: not too long, and no formula even if it holds dollars."""
    return shortened(text).replace("$", r"\$")


def extent(spec: FieldSpec) -> tuple[tuple[float, float], ...]:
    """Lower and upper edge of the domain along each axis, in the units of the coordinates, else in grid points.

    Figures show coordinates that fall, such as latitudes from north to south, as rising ones.
    """
    edges = spec.extent or tuple((0.0, float(n)) for n in spec.grid_shape)
    return tuple((min(pair), max(pair)) for pair in edges)


def boundaries(spec: FieldSpec) -> tuple[tuple[str, str], ...]:
    """Conditions at both sides of each axis: open where they are not known, so that nothing is taken as periodic."""
    return spec.boundaries or (("open", "open"),) * spec.n_dims


def panel_shape(spec: FieldSpec, area: float) -> tuple[float, float, Literal["equal", "auto"]]:
    """Return width and height in inches of a map, and the aspect of its axes.

    Axes have the same scale unless the domain is more than four times as long in one direction as in the other.
    """
    (left, right), (bottom, top) = extent(spec)[:2]
    ratio = (top - bottom) / (right - left) if right > left else 1.0
    legible = min(max(ratio, 0.25), 4.0)
    width = float(np.sqrt(area / legible))
    return width, width * legible, "equal" if legible == ratio else "auto"


def set_title(figure: Figure, title: str) -> None:
    """Set a figure's title, broken into lines that fit its width."""
    n_characters = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    lines = [textwrap.fill(line, n_characters, max_lines=3, placeholder=" ...") for line in title.splitlines()]
    figure.suptitle("\n".join(lines).replace("$", r"\$"))


def name_axes(panel: Axes, spec: FieldSpec, offsets: Sequence[float] = (0.0,)) -> None:
    """Label a panel of maps, of which there may be several side by side; ticks show the edges of the domain."""
    horizontal, vertical = map(plain_text, spec.axis_names[:2])
    edges = extent(spec)[0]
    panel.set(xlabel=horizontal, ylabel=vertical)
    panel.set_xticks([edge + offset for offset in offsets for edge in edges])
    panel.set_xticklabels([f"{edge:.3g}" for _ in offsets for edge in edges])
    for k, label in enumerate(panel.get_xticklabels()):
        label.set_horizontalalignment(("left", "right")[k % 2])
