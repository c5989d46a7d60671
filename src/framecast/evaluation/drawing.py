"""The pictures of a result: curves over the horizon, strips of frames, calibration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from framecast.evaluation.result import CalibrationInfo, Interval, Result, Row
from framecast.evaluation.strips import Strip
from framecast.pictures import Curve, Plot, curves, save, strip

DENSITY_BINS = 20
"""Most bins in which ranks are drawn."""


def draw_curves(result: Result, path: Path) -> None:
    """One plot per metric: the mean over sequences of each frame, with its interval as a band.

    Of reductions, those of all samples; `draw_samples` has the others.
    """
    most = max((row.samples or 0 for row in result.rows), default=0)
    _save_rows([row for row in result.rows if row.samples in (None, most)], result, path)


def draw_samples(result: Result, path: Path) -> None:
    """Such plots with one curve for each way to reduce samples, and each number of them.

    Diagnostics, which have no best sample, are left out.

    Reference: HAF-SVG, figure 7.
    """
    rows = [row for row in result.rows if row.role != "baseline"]
    keys = {key for row in rows if row.samples for key in row.curves}
    ranked = {key for key in keys if result.metrics[key].higher_is_better is not None}
    kept = [
        replace(row, curves={k: row.curves[k] for k in ranked & set(row.curves)}) for row in rows
    ]
    _save_rows(kept, result, path)


def draw_calibration(result: Result, found: CalibrationInfo, path: Path) -> None:
    """How often the truth lies in the middle of the predicted distribution, and where it falls."""
    name = result.rows[0].name
    ends = Interval(0.0, 0.0, 0.0), Interval(1.0, 1.0, 1.0)
    levels = np.array([0.0, *(each.level for each in found.coverage), 1.0])
    shares = [ends[0], *(each.share for each in found.coverage), ends[1]]
    covered = Plot(
        "values in its middle",
        "% of values",
        {name: _curve(shares, 100 * levels, 100), "calibrated": _line(100 * levels, 100 * levels)},
        ["calibrated"],
    )
    places, heights = _density(np.array(found.histogram))
    falls = Plot(
        "where values fall: density",
        "",
        {name: _line(places, heights), "calibrated": _line(places, np.ones_like(heights))},
        ["calibrated"],
    )
    axis = "% of the predicted distribution"
    save(curves([covered, falls], f"{result.name}, {found.samples} samples", axis), path)


def draw_strips(result: Result, strips: Sequence[Strip], path: Path) -> None:
    """For some sequences, below each other: the truth, the model's frames, and what is beside.

    Of several samples, the first and the best one are shown.
    """
    rows: dict[str, Tensor] = {}
    for each in strips:
        rows[f"{each.name}: truth"] = _visible(each.truth)
        rows[f"{each.name}: {result.rows[0].name}"] = _visible(each.model)
        if each.best is not None:
            rows[f"{each.name}: best of {result.protocol['samples']}"] = _visible(each.best)
        rows |= {f"{each.name}: {name}": _visible(each.beside[name]) for name in each.beside}
    save(strip(rows, first=1, title=result.name, kept=strips[0].frames), path)


def _save_rows(rows: Sequence[Row], result: Result, path: Path) -> None:
    axis = "predicted frame" if result.predicted else "frame"
    plots = []
    for key, info in result.metrics.items():
        series = {
            row.name: _curve(row.curves[key], np.arange(1, len(row.curves[key]) + 1))
            for row in rows
            if key in row.curves
        }
        baselines = [row.name for row in rows if row.role == "baseline"]
        if series:
            plots.append(Plot(info.label, info.unit, series, baselines))
    save(curves(plots, result.name, axis), path)


def _curve(points: Sequence[Interval], x: np.ndarray, factor: int = 1) -> Curve:
    mean, low, high = (
        np.array([getattr(point, end) for point in points], dtype=float) * factor
        for end in ("mean", "low", "high")
    )
    return Curve(x, mean, low, high)


def _line(x: np.ndarray, y: np.ndarray) -> Curve:
    """A curve without a band."""
    return Curve(x, y, y, y)


def _density(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles in % of bins that hold about as many ranks each, and the density, 1 on average."""
    bins = min(len(shares), DENSITY_BINS)
    edges = np.linspace(0, 1, bins + 1)
    known = np.linspace(0, 1, len(shares) + 1)
    below = np.interp(edges, known, np.concatenate([[0.0], shares.cumsum()]))
    return 100 * (edges[:-1] + edges[1:]) / 2, np.diff(below) * bins


def _visible(frames: Tensor) -> Tensor:
    """Gray or colour frames; of others the first channel."""
    return frames if frames.shape[1] in (1, 3) else frames[:, :1]
