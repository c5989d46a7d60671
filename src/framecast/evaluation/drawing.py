"""The pictures of a result: curves over the horizon, and strips of frames."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from framecast.evaluation.result import Interval, Result
from framecast.evaluation.strips import Strip

ACROSS = 3
"""Plots beside each other."""
WIDE = 11.0
"""Width of the strips in inches."""
GAP = 3
"""Pixels between frames."""


def draw_curves(result: Result, path: Path) -> None:
    """One plot per metric: the mean over sequences of each frame, with its interval as a band."""
    keys = list(result.metrics)
    down = math.ceil(len(keys) / ACROSS)
    figure = Figure((4.2 * ACROSS, 3.2 * down), dpi=100, layout="constrained")
    plots = figure.subplots(down, ACROSS, squeeze=False).ravel()
    for plot, key in zip(plots, keys, strict=False):
        for row in result.rows:
            if key in row.curves:
                _line(plot, row.curves[key], row.name, dashed=row.role == "baseline")
        info = result.metrics[key]
        plot.set_title(info.label, fontsize=10)
        plot.set_xlabel("predicted frame")
        plot.set_ylabel(info.unit)
        plot.grid(alpha=0.3)
    for plot in plots[len(keys) :]:
        plot.remove()
    plots[0].legend(fontsize=8)
    figure.suptitle(result.name)
    figure.savefig(path)


def draw_strips(result: Result, strips: Sequence[Strip], path: Path) -> None:
    """For some sequences, below each other: the truth, the model's prediction, and copy-last."""
    figure = Figure(layout="constrained")
    whole = figure.subplots(len(strips), 1, squeeze=False).ravel()
    tall = 0.0
    for plot, strip in zip(whole, strips, strict=True):
        lines = [strip.truth, strip.model, strip.last.expand_as(strip.truth)]
        names = [f"{strip.name}\ntruth", result.rows[0].name, "copy-last"]
        down, across = strip.truth.shape[-2:]
        plot.imshow(_tiled(lines), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        plot.set_yticks([(n + 0.5) * (down + GAP) for n in range(len(lines))], names, fontsize=8)
        columns = [(n + 0.5) * (across + GAP) for n in range(len(strip.frames))]
        plot.set_xticks(columns, [f"+{n + 1}" for n in strip.frames], fontsize=8)
        plot.tick_params(length=0)
        plot.spines[:].set_visible(False)
        tall += len(lines) * down / (len(strip.frames) * across)
    figure.set_size_inches(WIDE, WIDE * tall + 0.4 * len(strips))
    figure.savefig(path, dpi=100)


def _line(plot: Axes, curve: Sequence[Interval], name: str, dashed: bool) -> None:
    frames = np.arange(1, len(curve) + 1)
    mean, low, high = (
        np.array([getattr(point, end) for point in curve], dtype=float)
        for end in ("mean", "low", "high")
    )
    style = "--" if dashed else "-"
    (drawn,) = plot.plot(frames, mean, style, marker=".", label=name)
    plot.fill_between(frames, low, high, alpha=0.2, color=drawn.get_color(), linewidth=0)


def _tiled(lines: Sequence[Float[Tensor, "t c h w"]]) -> np.ndarray:
    """Frames beside each other, lines below each other, white between: `h w`, or `h w 3`."""
    rows = []
    for line in lines:
        frames = line if line.shape[1] == 3 else line[:, :1]
        padded = pad(frames, (0, GAP, 0, GAP), value=1.0)
        rows.append(torch.cat(list(padded), 2))
    image = torch.cat(rows, 1).permute(1, 2, 0).numpy()
    return image if image.shape[2] == 3 else image[..., 0]
