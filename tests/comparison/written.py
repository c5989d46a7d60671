"""Result folders written by hand, quickly: real results without an evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from framecast.config import dump
from framecast.evaluation import films, results_folder
from framecast.evaluation.columns import DIAGNOSTICS, SHARPNESS
from framecast.evaluation.protocol import Protocol, find
from framecast.evaluation.result import (
    FORMAT_VERSION,
    DataInfo,
    FilmInfo,
    Interval,
    MetricInfo,
    ModelInfo,
    Result,
    Row,
    RunInfo,
)
from framecast.evaluation.statistics import Moments

METRICS = {
    "mse": MetricInfo("MSE (sum per frame)", "", False, {"variant": "mse-sum"}),
    "psnr": MetricInfo("PSNR", "dB", True, {"variant": "psnr"}),
    SHARPNESS: DIAGNOSTICS[SHARPNESS],
}
COUNT, HORIZON = 40, 10
LEVELS = {"mse": 100.0, "psnr": 20.0, SHARPNESS: 0.5}


def common(count: int = COUNT) -> np.ndarray:
    """How hard each sequence is for everybody."""
    return np.random.default_rng(5).normal(0, 0.2, count)


def scored(
    shift: float, seed: int, count: int = COUNT, keys: Sequence[str] = tuple(METRICS)
) -> dict[str, np.ndarray]:
    """Scores per sequence by metric: better by `shift` of the metric's level."""
    draw = np.random.default_rng(seed)
    noise = {key: common(count) + draw.normal(0, 0.02, count) for key in keys}
    signs = {key: 1 if METRICS[key].higher_is_better else -1 for key in keys}
    return {key: LEVELS[key] * (1 + noise[key] + signs[key] * shift) for key in keys}


def row(name: str, role: Any, scores: dict[str, np.ndarray], horizon: int = HORIZON) -> Row:
    """A line whose curves are flat."""
    values = {}
    for key, each in scores.items():
        summary = Moments.of(each[:, None]).summary()
        values[key] = Interval.each(summary)[0]
    return Row(name, role, values, {key: [value] * horizon for key, value in values.items()})


def result(
    scores: dict[str, np.ndarray],
    baselines: dict[str, dict[str, np.ndarray]],
    kind: str = "convlstm",
    fingerprint: str = "a" * 64,
    protocol: Protocol | None = None,
    options: dict[str, Any] | None = None,
    command: str | None = None,
    speed: float = 100.0,
) -> Result:
    """A result of some scores, of a model whose configuration nobody can read."""
    protocol = protocol or find("glyphs/10-10")
    count = len(next(iter(scores.values())))
    rows = [row(kind, "model", scores)]
    rows += [row(name, "baseline", each) for name, each in baselines.items()]
    return Result(
        format_version=FORMAT_VERSION,
        protocol=protocol.definition(),
        protocol_hash=f"hash of {protocol.definition()}",
        notes=list(protocol.notes),
        model=ModelInfo(kind, fingerprint, 1_234_567, {"unread": 1}, {}, options or {}),
        data=DataInfo("d" * 64, 200, count, []),
        run=RunInfo(0, count, "cpu", 1.0, speed, {"framecast": "0.1.0"}, command),
        metrics=METRICS,
        omitted={},
        rows=rows,
    )


BASELINES = {"copy-last": scored(-0.5, 101), "context-mean": scored(-0.7, 102)}


def write(
    folder: Path,
    shift: float = 0.0,
    seed: int = 1,
    *,
    count: int = COUNT,
    change: Any = lambda found: found,
    infinite: str | None = None,
    filmed: int = 0,
    best: int | None = None,
    **fields: Any,
) -> Path:
    """A folder of results.

    Args:
        folder: Is made.
        shift: How much better it is than usual, in shares of the metrics' levels.
        seed: Of what is its own.
        count: Sequences.
        change: Of the result, before it is written.
        infinite: Baseline whose PSNR is infinite in a sequence.
        filmed: Sequences with films.
        best: Number of their best sample.
        fields: Of `result`.
    """
    scores = scored(shift, seed, count)
    baselines = {
        name: {key: values[:count].copy() for key, values in each.items()}
        for name, each in BASELINES.items()
    }
    if infinite:
        baselines[infinite]["psnr"][1] = np.inf
    found = change(result(scores, baselines, **fields))
    folder.mkdir(parents=True)
    infos = [FilmInfo(7 * n, f"clip {7 * n}", 3, 12, [16, 20], best) for n in range(filmed)]
    found = replace(found, films=infos)
    (folder / results_folder.RESULTS).write_text(dump(found), "utf-8")
    arrays = {f"model/{key}": values for key, values in scores.items()}
    for name, each in baselines.items():
        arrays |= {f"{name}/{key}": values for key, values in each.items()}
    np.savez(folder / results_folder.SCORES, sequence=np.arange(count), **arrays)
    if infos:
        films.write(folder / results_folder.FILMS, [_film(info, seed) for info in infos])
    return folder


def _film(info: FilmInfo, seed: int) -> films.Film:
    """A bright square that moves; a model's own is a frame behind for each of its seed."""
    height, width = info.size
    total = info.context + info.frames
    truth = np.zeros((total, height, width, 1), np.uint8)
    for frame in range(total):
        truth[frame, 4:8, (frame + info.sequence) % (width - 4) :][:, :4] = 255
    model = np.roll(truth, seed, axis=0)[info.context :] // 2
    best = None if info.best is None else truth[info.context :] // 4
    return films.Film(info, truth, model, best)
