"""The pictures of a result: curves over the horizon, and strips of frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from framecast.evaluation.result import Interval, Result
from framecast.evaluation.strips import Strip
from framecast.pictures import Curve, Plot, curves, save, strip


def draw_curves(result: Result, path: Path) -> None:
    """One plot per metric: the mean over sequences of each frame, with its interval as a band."""
    axis = "predicted frame" if result.predicted else "frame"
    plots = []
    for key, info in result.metrics.items():
        series = {row.name: _curve(row.curves[key]) for row in result.rows if key in row.curves}
        baselines = [row.name for row in result.rows if row.role == "baseline"]
        if series:
            plots.append(Plot(info.label, info.unit, series, baselines))
    save(curves(plots, result.name, axis), path)


def draw_strips(result: Result, strips: Sequence[Strip], path: Path) -> None:
    """For some sequences, below each other: the truth, the model's frames, and what is beside."""
    rows: dict[str, Tensor] = {}
    for each in strips:
        rows[f"{each.name}: truth"] = _visible(each.truth)
        rows[f"{each.name}: {result.rows[0].name}"] = _visible(each.model)
        rows |= {f"{each.name}: {name}": _visible(each.beside[name]) for name in each.beside}
    save(strip(rows, first=1, title=result.name, kept=strips[0].frames), path)


def _curve(points: Sequence[Interval]) -> Curve:
    mean, low, high = (
        np.array([getattr(point, end) for point in points], dtype=float)
        for end in ("mean", "low", "high")
    )
    return Curve(np.arange(1, len(points) + 1), mean, low, high)


def _visible(frames: Tensor) -> Tensor:
    """Gray or colour frames; of others the first channel."""
    return frames if frames.shape[1] in (1, 3) else frames[:, :1]
