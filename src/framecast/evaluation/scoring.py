"""Scores of predicted futures, frame by frame as they come: frames are seen once and let go.

Where there are several samples, `crps` is the continuous ranked probability score of a pixel, a
mean over pixels: E|X − y| − ½ E|X − X′|, in units of the frames' range [0, 1]; lower is better. The
second term is estimated without bias from the disjoint pairs of samples (0, 1), (2, 3), …, whose
mean absolute difference E|X − X′| is `spread`. Predictions are clipped to [0, 1].

Reference: Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation (2007),
    equation 21.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from framecast.clip import Clip
from framecast.model import Model, Options, Step

FrameScores = dict[str, Tensor]
Score = Callable[[Tensor, Tensor, Tensor | None], FrameScores]
"""Compares unclipped frames with true ones, both `s b c h w`, given the pixels that are missing
from the truth: `s b` values by key, or more axes."""

CRPS = "crps"
SPREAD = "spread"


@dataclass(frozen=True)
class Futures:
    """Scores of all samples of some sequences, and what was kept of the frames."""

    scores: dict[str, Shaped[Tensor, "s b t *rest"]]
    """By key, on the CPU: float64, or counts."""
    ensemble: dict[str, Float[Tensor, "b t"]] = field(default_factory=dict)
    """`crps` and `spread`, where there are several samples."""
    kept: Float[Tensor, "k t2 c h w"] | None = None
    """Frames of sample 0 that pictures show, clipped; None where none were asked for."""
    seconds: float = 0.0
    """Time that the predicting took, without the scoring."""


@dataclass(frozen=True)
class Keep:
    """Which frames to keep for pictures."""

    sequences: tuple[int, ...]  # places in the batch
    frames: tuple[int, ...]  # frames of the horizon


def score_model(
    model: Model,
    context: Clip,
    truth: Clip,
    score: Score,
    *,
    samples: int | None,
    rows: int,
    seed: int,
    sequences: Sequence[int],
    options: Options | None,
    keep: Keep,
) -> Futures:
    """Predict and score some sequences.

    Args:
        model: In evaluation mode or not; `stream` sees to it.
        context: Observed frames, `b t c h w`.
        truth: The frames that follow.
        score: What is measured.
        samples: Futures per sequence; None for the point prediction.
        rows: Most futures (sequence × sample) that are predicted at a time, where samples can be
            split; portions are even, so that pairs of samples stay together.
        seed: Names the samples' noise together with the sequence and the sample.
        sequences: Numbers of the sequences in the dataset.
        options: The model's own options.
        keep: Frames of sample 0 to hand back.
    """
    portions = []
    for first, count in _portions(samples, rows // len(sequences)):
        steps = model.stream(
            context,
            truth.length,
            samples=count,
            seed=seed,
            sequences=sequences,
            options=options,
            first_sample=first,
        )
        portions.append(_score(steps, truth, score, keep if first == 0 else Keep((), ())))
    return _joined(portions)


def score_still(frame: Float[Tensor, "b c h w"], truth: Clip, score: Score, keep: Keep) -> Futures:
    """Score one frame per sequence as the prediction of every frame of the horizon."""
    return _joined([_score(repeat(Step(frame[None]), truth.length), truth, score, keep)])


def score_frames(
    frames: Float[Tensor, "b t c h w"], truth: Clip, score: Score, keep: Keep
) -> Futures:
    """Score given frames, one for each of the true ones."""
    return _joined([_score((Step(f[None]) for f in frames.unbind(1)), truth, score, keep)])


def _portions(samples: int | None, most: int) -> Iterator[tuple[int, int | None]]:
    """(first sample, number of samples) of each portion."""
    if samples is None:
        yield 0, None
        return
    size = max(2, most - most % 2)
    for first in range(0, samples, size):
        yield first, min(size, samples - first)


@dataclass
class _Portion:
    scores: list[FrameScores] = field(default_factory=list)
    distances: list[Tensor] = field(default_factory=list)  # to the truth, s b of each frame
    differences: list[Tensor] = field(default_factory=list)  # within pairs, s//2 b of each frame
    kept: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0


def _score(steps: Iterable[Step], truth: Clip, score: Score, keep: Keep) -> _Portion:
    portion, begun = _Portion(), time.perf_counter()
    for number, step in enumerate(steps):
        if step.frame.is_cuda:
            torch.cuda.synchronize(step.frame.device)
        portion.seconds += time.perf_counter() - begun
        missing = None if truth.missing is None else truth.missing[:, number]
        _add(portion, step.frame.float(), truth.frames[:, number], missing, score)
        if number in keep.frames and keep.sequences:
            shown = step.frame[0, list(keep.sequences)].float().clamp(0, 1)
            portion.kept.append(shown.cpu())
        begun = time.perf_counter()
    return portion


def _add(
    portion: _Portion, frame: Tensor, truth: Tensor, missing: Tensor | None, score: Score
) -> None:
    samples = len(frame)
    # a model whose samples are all equal expands one of them: there is one future to score
    distinct = frame[:1] if frame.stride(0) == 0 else frame
    target = truth.expand(len(distinct), *truth.shape)
    values = score(distinct, target, None if missing is None else missing.expand_as(target))
    clipped = distinct.clamp(0, 1)
    distances = (clipped - target).abs().flatten(2).mean(2)
    pairs = clipped.expand(samples, *clipped.shape[1:])
    differences = (pairs[0 : samples - 1 : 2] - pairs[1::2]).abs().flatten(2).mean(2)
    portion.scores.append({key: _spread_out(value, samples) for key, value in values.items()})
    portion.distances.append(_spread_out(distances, samples))
    portion.differences.append(differences.double().cpu())


def _spread_out(values: Tensor, samples: int) -> Tensor:
    exact = values.double() if values.is_floating_point() else values
    return exact.cpu().expand(samples, *values.shape[1:])


def _joined(portions: Sequence[_Portion]) -> Futures:
    stacked = [
        {key: torch.stack([frame[key] for frame in portion.scores], 2) for key in portion.scores[0]}
        for portion in portions
    ]
    scores = {key: torch.cat([portion[key] for portion in stacked]) for key in stacked[0]}
    kept = portions[0].kept
    return Futures(
        scores,
        _ensemble(portions),
        torch.stack(kept, 1) if kept else None,
        sum(portion.seconds for portion in portions),
    )


def _ensemble(portions: Sequence[_Portion]) -> dict[str, Tensor]:
    """CRPS and spread from sums over samples: no two portions are ever compared."""
    distances = torch.cat([torch.stack(portion.distances, 2) for portion in portions])
    if len(distances) < 2:
        return {}
    differences = torch.cat([torch.stack(portion.differences, 2) for portion in portions])
    spread = differences.mean(0)
    return {CRPS: distances.mean(0) - spread / 2, SPREAD: spread}
