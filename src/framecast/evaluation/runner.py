"""Evaluate a model under a protocol, sequence after sequence, in memory that does not grow.

Every evaluation has two parts, the model's frames and what they are compared with, which a
prediction and a reconstruction fill in their own way.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.codec import Codec
from framecast.evaluation import films, results_folder
from framecast.evaluation.calibration import Calibration
from framecast.evaluation.distances import Sets, distinct, scaled
from framecast.evaluation.ensemble import SPREAD
from framecast.evaluation.events import EVENTS
from framecast.evaluation.films import Film
from framecast.evaluation.likelihood import CodeLikelihood
from framecast.evaluation.metrics import VideoFeatures
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.reconstruction import CodeTally, reconstruct
from framecast.evaluation.reduction import others, reduced
from framecast.evaluation.result import Difference, Result, Row
from framecast.evaluation.scoring import Futures, Keep, score_frames, score_model, score_still
from framecast.evaluation.statistics import paired_bootstrap
from framecast.evaluation.strips import Strip, shown
from framecast.evaluation.tally import Tally
from framecast.evaluation.task import Batch, Task
from framecast.model import Model, Options, Step
from framecast.video import Size

COPY_LAST, CONTEXT_MEAN, CORRUPTED = "copy-last", "context-mean", "corrupted frames"
Progress = Callable[[int, int], None]
"""Called with the numbers of sequences done and in all."""


def evaluate(
    model: Model,
    protocol: Protocol,
    *,
    root: Path | None = None,
    limit: int | None = None,
    batch: int = 32,
    seed: int = 0,
    out: Path | None = None,
    weights: Path | None = None,
    features: VideoFeatures | None = None,
    device: torch.device | str = "cpu",
    options: Options | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    likelihood: bool = False,
) -> Result:
    """Predict the sequences of a protocol and score them, with baselines beside.

    The baselines are the last observed frame and the mean of the observed frames, repeated; where
    observed frames are corrupted, those of the model are. A reconstruction has none, but the
    corrupted frames themselves where they are. A sample's random stream is named by `seed`, the
    sequence's number in the dataset and the sample's number, so that `batch` and `limit` change no
    prediction (but for rounding).

    Args:
        model: Is moved to `device`. A `Codec` where the protocol's task is to reconstruct.
        protocol: From `protocol.find`, or of your own. A published one with changed fields is
            reported under a name that says so.
        root: Where the data lies; None where the protocol's data says it or needs no place.
        limit: Use the first so many sequences; the result says that it is partial.
        batch: Futures (sequence × sample) predicted at a time.
        seed: Of the samples.
        out: Folder for results.json, curves.csv, scores.npz, pictures and films; None
            writes nothing.
        weights: Folder of the weights of LPIPS and FVD; None for the one that `FRAMECAST_WEIGHTS`
            names.
        features: What distances between sets of clips look at; None for I3D, which makes them FVD.
            Those of any other are reported under its name.
        device: Where the model runs.
        options: The model's own options.
        command: The command line, to be recorded.
        progress: Called after every batch.
        likelihood: Also find how likely the model finds the codes of the true futures.

    Raises:
        FramecastError: before anything is predicted, if the model does not take the protocol's
            frames, the data is missing, or `out` holds something else.
    """
    task = Task.of(
        model,
        protocol,
        root=root,
        limit=limit,
        batch=batch,
        seed=seed,
        weights=weights,
        options=options,
        features=features,
        likelihood=likelihood,
    )
    draft = task.draft(device, command)
    if out is not None:
        results_folder.check(out, draft, likelihood)
    model.to(device)
    run = _Run(task, filming=out is not None)
    for each in task.batches():
        run.add(each.to(torch.device(device)))
        if progress is not None:
            progress(run.done, task.used)
    result = run.result(draft)
    if out is not None:
        results_folder.write(out, result, run.scores(), run.strips, run.films)
    return result


@dataclass
class _Run:
    task: Task
    filming: bool
    """Whether frames of some sequences are kept for films."""
    strips: list[Strip] = field(default_factory=list)
    films: list[Film] = field(default_factory=list)
    shape: torch.Size | None = None
    """Channels, height and width of the first sequence: a picture shows frames of one size."""
    done: int = 0
    predicting: float = 0.0
    begun: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        protocol, kind = self.task.protocol, self.task.model.config.type
        self.model = Tally(kind, "model")
        self.reductions = {
            each: Tally(f"{kind}, {each.name}", "reduction", each.count)
            for each in others(protocol, self.task.columns.directions)
        }
        self.calibration = Calibration()
        self.codes: CodeTally | None = None
        self.likelihood = CodeLikelihood(self.task.model) if self.task.likelihood else None
        names = [COPY_LAST, CONTEXT_MEAN]
        if protocol.task == "reconstruct":
            self.codes = CodeTally(protocol.levels)
            names = [] if protocol.corruption is None else [CORRUPTED]
        self.baselines = {name: Tally(name, "baseline") for name in names}
        distances = self.task.distances
        self.sets = Sets(distances, self.task.model, protocol) if distances.metrics else None

    @property
    def observed(self) -> int:
        """Frames before the scored ones."""
        return 0 if self.codes is not None else self.task.protocol.lengths()[0]

    @property
    def tallies(self) -> list[Tally]:
        """The lines of the result, in its order; equal samples are reduced in one way only."""
        reductions = self.reductions.values() if self.samples_differ else ()
        return [self.model, *reductions, *self.baselines.values()]

    @property
    def samples_differ(self) -> bool:
        """Whether there are several samples, and not all are equal."""
        spread = self.model.each().get(SPREAD)
        return spread is not None and bool((spread != 0).any())

    def add(self, batch: Batch) -> None:
        """Predict or reconstruct a batch, and score it."""
        given, task = batch.context, self.task
        if self.likelihood is not None:
            self.likelihood.add(batch.context, batch.truth)
        seen, batch = (batch.context, batch.truth), batch.scaled(task.protocol.resize)
        truth = batch.truth
        if self.sets is not None:
            self.sets.begin(batch.sequences, batch.context, truth, seen)
        nothing, shape = Keep((), ()), truth.frames.shape[-3:]
        self.shape = self.shape or shape
        alike = shape == self.shape
        strip = shown(batch.sequences, task.used, truth.length) if alike else nothing
        film = films.shown(batch, task.used, self.observed) if self.filming else nothing
        keep = strip | film
        if self.codes is None:
            futures = self._predicted(given, batch, keep)
            beside = self._still(batch)
        else:
            futures = self._reconstructed(given, batch, keep, self.codes)
            beside = dict.fromkeys(self.baselines, batch.context.frames)
            for name, frames in beside.items():
                self._count(
                    self.baselines[name], score_frames(frames, truth, task.columns, nothing)
                )
                self._compare(self.baselines[name], frames)
        self._count(self.model, futures)
        self.done += len(batch.sequences)
        self.predicting += futures.seconds
        kept = [keep.pick(futures.kept, each) for each in (strip, film)]
        self.strips += Strip.of(batch, strip, kept[0], task.source, beside)
        self.films += Film.of(batch, film, kept[1], task.source, self.observed)

    def _predicted(self, context: Clip, batch: Batch, keep: Keep) -> Futures:
        task, protocol = self.task, self.task.protocol
        futures = score_model(
            task.model,
            context,
            batch.truth,
            task.columns,
            apart=task.columns.apart,
            counts=sorted({each.count for each in self.reductions}),
            samples=protocol.samples,
            rows=task.batch,
            seed=task.seed,
            sequences=batch.sequences,
            options=task.options,
            keep=keep,
            through=self._through,
        )
        scores = _without_events(futures.scores)
        means = {count: _without_events(each) for count, each in futures.mean_frames.items()}
        for reduction, tally in self.reductions.items():
            tally.add(reduction(scores, means, task.columns.directions))
        if futures.ranks:
            self.calibration.add(futures.ranks)
        return futures

    def _through(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Predicted frames as they are scored, seen by the distances between sets."""
        size = self.task.protocol.resize
        resized = steps if size is None else (_scaled(step, size) for step in steps)
        return resized if self.sets is None else self.sets.watch(_key(self.model), resized)

    def _still(self, batch: Batch) -> dict[str, Float[Tensor, "b t c h w"]]:
        """Score the baselines of a prediction; those that pictures show come back."""
        context, truth = batch.context.frames, batch.truth
        last, mean = context[:, -1], context.mean(1)
        for name, frame in ((COPY_LAST, last), (CONTEXT_MEAN, mean)):
            scores = score_still(frame, truth, self.task.columns, Keep((), ()))
            self._count(self.baselines[name], scores)
            self._compare(self.baselines[name], frame[:, None].expand_as(truth.frames))
        return {COPY_LAST: last[:, None].expand_as(truth.frames)}

    def _reconstructed(self, given: Clip, batch: Batch, keep: Keep, codes: CodeTally) -> Futures:
        task, codec = self.task, self.task.model
        assert isinstance(codec, Codec)  # `Task.of` has seen to it
        found = reconstruct(
            codec,
            given,
            batch.truth,
            task.columns,
            levels=codes.levels,
            keep=keep,
            through=self._decoded,
        )
        codes.add(found.codes)
        return found.futures

    def _decoded(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h2 w2"]:
        """Decoded frames as they are scored, seen by the distances between sets."""
        resized = scaled(frames, self.task.protocol.resize)
        self._compare(self.model, resized)
        return resized

    def _compare(self, tally: Tally, frames: Float[Tensor, "b t c h w"]) -> None:
        """Take frames of a line of the result for its distances."""
        if self.sets is not None:
            self.sets.frames(_key(tally), frames)

    def _count(self, tally: Tally, futures: Futures) -> None:
        scores = dict(futures.scores)
        counts = scores.pop(EVENTS, None)
        values = reduced(scores, self.task.protocol, self.task.columns.directions)
        events = None if counts is None else counts.sum(0)
        tally.add({**values, **futures.together}, events)

    def scores(self) -> dict[str, np.ndarray]:
        """The mean over time of each sequence, by `ROW/METRIC`; the model's row is `model`."""
        found = {
            f"{'model' if tally is self.model else tally.name}/{key}": values
            for tally in self.tallies
            for key, values in tally.each().items()
        }
        return {"sequence": np.arange(self.done), **found}

    def result(self, draft: Result) -> Result:
        """The draft with all figures."""
        task = self.task
        context, horizon = task.protocol.lengths()
        length = horizon if self.codes is None else context + horizon
        frames = self.done * length * (task.protocol.samples or 1)
        seconds = time.perf_counter() - self.begun
        speed = frames / max(self.predicting, 1e-9)
        return replace(
            draft,
            run=replace(draft.run, seconds=seconds, frames_per_second=speed),
            rows=[self._row(tally) for tally in self.tallies],
            against_copy_last=self._compared(),
            codec=None if self.codes is None else self.codes.info(),
            calibration=self.calibration.info(task.seed) if self.samples_differ else None,
            likelihood=None if self.likelihood is None else self.likelihood.info(),
            films=[film.info for film in self.films],
        )

    def _row(self, tally: Tally) -> Row:
        row = tally.row(self.task.columns.events, self.task.seed)
        if self.sets is None:
            return row
        found = self.sets.found(_key(tally))
        return replace(row, values=row.values | found.values, folds=found.folds)

    def _compared(self) -> dict[str, Difference]:
        if COPY_LAST not in self.baselines:
            return {}
        ours, theirs = self.model.each(), self.baselines[COPY_LAST].each()
        found = {}
        for metric in self.task.columns.computed:
            pair = ours[metric.key], theirs[metric.key]
            if len(pair[0]) > 1 and np.isfinite(pair).all():
                found[metric.key] = Difference.of(paired_bootstrap(*pair, seed=self.task.seed))
        return found


def _key(tally: Tally) -> str:
    """Tells lines apart: a model may be what is a baseline too."""
    return f"{tally.role} {tally.name}"


def _scaled(step: Step, size: Size) -> Step:
    """A step with frames of another size; equal samples stay one that is expanded."""
    frame = scaled(distinct(step.frame), size)
    return replace(step, frame=frame.expand(len(step.frame), *frame.shape[1:]))


def _without_events(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores without counts, which are added up for the protocol's own reduction alone."""
    return {key: value for key, value in scores.items() if key != EVENTS}
