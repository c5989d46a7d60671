"""Curves over an axis, with their intervals."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from framecast.errors import FramecastError

Numbers = Sequence[float | int] | np.ndarray


@dataclass(frozen=True)
class Curve:
    """A quantity over an axis, with its 95 % interval; the four lists have one length."""

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Plot:
    """Curves of one quantity."""

    title: str
    unit: str
    series: Mapping[str, Curve]
    dashed: Sequence[str] = ()
    """Names of the curves that others are compared with."""


def curves(plots: Sequence[Plot], title: str = "", xlabel: str = "predicted frame") -> Image.Image:
    """Plots beside each other: lines with their 95 % intervals as bands.

    A name has one colour in all plots, whether or not each has a curve of that name; the legend has
    all of them and stands below.

    Raises:
        FramecastError: if there are no plots, or one has no curves.
    """
    if not plots or not all(plot.series for plot in plots):
        raise FramecastError("there are no curves to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(plots), 3)
    down = -(-len(plots) // across)
    wide = 8 if across == 1 else 5.3
    names = list(dict.fromkeys(name for plot in plots for name in plot.series))
    rows = -(-len(names) // (2 * across))
    size = wide * across, wide * down * 0.66 + 0.75 + 0.22 * rows
    figure = Figure(size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    lines: dict[str, Any] = {}
    for place, plot in zip(axes, plots, strict=False):
        lines = _plotted(place, plot, xlabel, colours) | lines
    for place in axes[len(plots) :]:
        place.remove()
    figure.legend(
        [lines[name] for name in names],
        names,
        loc="outside lower left",
        ncols=2 * across,
        frameon=False,
        title="mean, 95 % interval",
        alignment="left",
    )
    figure.suptitle(title, x=0.01, ha="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _plotted(place: Any, plot: Plot, xlabel: str, colours: Mapping[str, str]) -> dict[str, Any]:
    """One plot, on matplotlib's axes; its lines by name come back."""
    from matplotlib.ticker import MaxNLocator

    lines = {}
    for name, curve in plot.series.items():
        marker = "o" if len(curve.x) < 30 else ""
        style = "--" if name in plot.dashed else "-"
        look = {"color": colours[name], "marker": marker, "markersize": 3.5}
        (lines[name],) = place.plot(curve.x, curve.mean, style, **look)
        place.fill_between(
            curve.x, curve.low, curve.high, alpha=0.18, color=colours[name], linewidth=0
        )
    place.set(xlabel=xlabel, ylabel=plot.unit)
    place.set_title(plot.title, loc="left", fontsize=12)
    place.xaxis.set_major_locator(MaxNLocator(integer=True))
    place.grid(alpha=0.25)
    place.spines[["top", "right"]].set_visible(False)
    return lines
