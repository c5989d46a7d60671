"""Scores of predicted futures, frame by frame as they come: frames are seen once and let go.

Where there are several samples that differ, they are put aside until all are there, for what they
say only together: see `ensemble`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from framecast.clip import Clip
from framecast.evaluation.calibration import Ranks
from framecast.evaluation.ensemble import DIAGNOSTICS, Ensemble
from framecast.model import Model, Options, Step

FrameScores = dict[str, Tensor]
Score = Callable[[Tensor, Tensor, Tensor | None], FrameScores]
"""Compares unclipped frames with true ones, both `s b c h w`, given the pixels that are missing
from the truth: `s b` values by key, or more axes."""

Through = Callable[[Iterator[Step]], Iterator[Step]]
"""Looks at the steps of a prediction, or changes their frames, before they are scored."""

Apart = Callable[[Tensor, Tensor], FrameScores]
"""How far two samples are apart, both `s b c h w` and unclipped: `s b` values by key."""


@dataclass(frozen=True)
class Best:
    """The sample of a sequence that is nearest to what followed, by squared error."""

    number: int  # of the sample
    frames: Float[Tensor, "t c h w"]


@dataclass(frozen=True)
class Kept:
    """Frames that pictures show, clipped."""

    frames: Float[Tensor, "k t c h w"]  # of sample 0
    best: tuple[Best | None, ...]  # of each sequence; None where samples do not differ


@dataclass(frozen=True)
class Futures:
    """Scores of all samples of some sequences, and what was kept of the frames."""

    scores: dict[str, Shaped[Tensor, "s b t *rest"]]
    """By key, on the CPU: float64, or counts."""
    together: dict[str, Float[Tensor, "b t"]] = field(default_factory=dict)
    """CRPS and distances of samples, where there are several."""
    mean_frames: dict[int, dict[str, Float[Tensor, "b t"]]] = field(default_factory=dict)
    """Scores of the mean of the first so many samples, by their number."""
    ranks: tuple[Ranks, ...] = ()
    """Of the true values among the samples, frame by frame."""
    kept: Kept | None = None
    """Frames for pictures; None where none were asked for."""
    seconds: float = 0.0
    """Time that the predicting took, without the scoring."""


@dataclass(frozen=True)
class Keep:
    """Which frames to keep for pictures."""

    sequences: tuple[int, ...]  # places in the batch
    frames: tuple[int, ...]  # frames of the horizon

    def __or__(self, other: "Keep") -> "Keep":
        """All sequences of both, with all frames of both."""
        return Keep(
            tuple(sorted({*self.sequences, *other.sequences})),
            tuple(sorted({*self.frames, *other.frames})),
        )

    def pick(self, kept: Kept | None, some: "Keep") -> Kept | None:
        """Of the frames that were kept, those of `some`; None where that has no sequence."""
        if kept is None or not some.sequences:
            return None
        rows = [self.sequences.index(place) for place in some.sequences]
        frames = [self.frames.index(frame) for frame in some.frames]
        best = (kept.best[row] for row in rows)
        if some.frames == self.frames:  # not to be copied: they may be large
            return Kept(kept.frames[rows], tuple(best))
        return Kept(
            kept.frames[rows][:, frames],
            tuple(each and replace(each, frames=each.frames[frames]) for each in best),
        )


def score_model(
    model: Model,
    context: Clip,
    truth: Clip,
    score: Score,
    *,
    apart: Apart,
    counts: Sequence[int],
    samples: int | None,
    rows: int,
    seed: int,
    sequences: Sequence[int],
    options: Options | None,
    keep: Keep,
    through: Through | None = None,
) -> Futures:
    """Predict and score some sequences.

    Args:
        model: In evaluation mode or not; `stream` sees to it.
        context: Observed frames, `b t c h w`.
        truth: The frames that follow, of the size that `through` gives.
        score: What is measured.
        apart: How far two samples are apart, besides what is always measured.
        counts: Numbers of samples whose mean frame is scored, where there are several samples.
        samples: Futures per sequence; None for the point prediction.
        rows: Most futures (sequence × sample) that are predicted at a time, where samples can be
            split; portions are even, so that pairs of samples stay together.
        seed: Names the samples' noise together with the sequence and the sample.
        sequences: Numbers of the sequences in the dataset.
        options: The model's own options.
        keep: Frames to hand back, of sample 0 and of the best one.
        through: What the steps of each portion of the samples go through; None for nothing.
    """
    several = (samples or 1) > 1
    ensemble = Ensemble(samples or 1, truth.frames.shape) if several else None
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
        shown = keep if first == 0 else Keep((), ())
        aside = None if ensemble is None else _Aside(ensemble, first, apart)
        seen = steps if through is None else through(steps)
        portions.append(_score(seen, truth, score, shown, aside))
    futures = _joined(portions)
    if ensemble is None:
        return futures
    return _with_ensemble(futures, ensemble, truth, score, counts, keep)


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


@dataclass(frozen=True)
class _Aside:
    """Where a portion of samples is put, and how pairs of them are compared."""

    ensemble: Ensemble
    first: int
    apart: Apart

    def take(self, number: int, frame: Tensor) -> FrameScores:
        """Put a frame aside and compare its samples 0 and 1, 2 and 3 …"""
        self.ensemble.put(number, self.first, frame.clamp(0, 1))
        even = len(frame) - len(frame) % 2
        if not even:
            return {}
        values = self.apart(frame[0:even:2], frame[1:even:2])
        return {key: value.double().cpu() for key, value in values.items()}


@dataclass
class _Portion:
    scores: list[FrameScores] = field(default_factory=list)
    pairs: list[FrameScores] = field(default_factory=list)  # s//2 b of each frame
    kept: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0


def _score(
    steps: Iterable[Step], truth: Clip, score: Score, keep: Keep, aside: _Aside | None = None
) -> _Portion:
    portion, begun = _Portion(), time.perf_counter()
    for number, step in enumerate(steps):
        if step.frame.is_cuda:
            torch.cuda.synchronize(step.frame.device)
        portion.seconds += time.perf_counter() - begun
        frame = step.frame.float()
        portion.scores.append(_scored(frame, *_true(truth, number), score))
        if aside is not None:
            portion.pairs.append(aside.take(number, frame))
        if number in keep.frames and keep.sequences:
            shown = step.frame[0, list(keep.sequences)].float().clamp(0, 1)
            portion.kept.append(shown.cpu())
        begun = time.perf_counter()
    return portion


def _true(truth: Clip, number: int) -> tuple[Tensor, Tensor | None]:
    """A true frame, and which of its values are not known."""
    return truth.frames[:, number], None if truth.missing is None else truth.missing[:, number]


def _scored(frame: Tensor, truth: Tensor, missing: Tensor | None, score: Score) -> FrameScores:
    # a model whose samples are all equal expands one of them: there is one future to score
    distinct = frame[:1] if frame.stride(0) == 0 else frame
    target = truth.expand(len(distinct), *truth.shape)
    values = score(distinct, target, None if missing is None else missing.expand_as(target))
    return {key: _spread_out(value, len(frame)) for key, value in values.items()}


def _spread_out(values: Tensor, samples: int) -> Tensor:
    exact = values.double() if values.is_floating_point() else values
    return exact.cpu().expand(samples, *values.shape[1:])


def _joined(portions: Sequence[_Portion]) -> Futures:
    scores = _over_portions([portion.scores for portion in portions])
    pairs = _over_portions([p.pairs for p in portions if p.pairs and p.pairs[0]])
    kept = portions[0].kept
    return Futures(
        scores,
        {key: value.mean(0) for key, value in pairs.items()},
        kept=Kept(torch.stack(kept, 1), (None,) * kept[0].shape[0]) if kept else None,
        seconds=sum(portion.seconds for portion in portions),
    )


def _over_portions(portions: Sequence[Sequence[FrameScores]]) -> dict[str, Tensor]:
    """Values `s b t` by key, from `s b` of every frame of every portion."""
    return {
        key: torch.cat([torch.stack([frame[key] for frame in frames], 2) for frames in portions])
        for key in (portions[0][0] if portions else ())
    }


def _with_ensemble(
    futures: Futures,
    ensemble: Ensemble,
    truth: Clip,
    score: Score,
    counts: Sequence[int],
    keep: Keep,
) -> Futures:
    """Add what the samples say together."""
    together: dict[str, list[Tensor]] = {key: [] for key in DIAGNOSTICS}
    means: dict[int, list[FrameScores]] = {count: [] for count in counts}
    ranks = []
    for number in range(truth.length):
        frame, missing = _true(truth, number)
        found = ensemble.frame(number, frame, missing, counts)
        ranks.append(found.ranks)
        for key, value in found.values.items():
            together[key].append(value)
        for count, mean in found.means.items():
            means[count].append(_scored(mean[None].to(frame.device), frame, missing, score))
    stacked = {key: torch.stack(values, 1) for key, values in together.items()}
    return replace(
        futures,
        together={**stacked, **futures.together},
        mean_frames={
            count: {key: value[0] for key, value in _over_portions([frames]).items()}
            for count, frames in means.items()
        },
        ranks=tuple(ranks),
        kept=futures.kept and replace(futures.kept, best=tuple(_best(ensemble, truth, keep))),
    )


def _best(ensemble: Ensemble, truth: Clip, keep: Keep) -> Iterator[Best | None]:
    """The best sample of each sequence that is kept."""
    for row in keep.sequences:
        missing = None if truth.missing is None else truth.missing[row]
        number = ensemble.nearest(row, truth.frames[row], missing)
        best = None if number is None else Best(number, ensemble.sample(number, row, keep.frames))
        yield best
